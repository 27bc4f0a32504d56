import { TrainerError } from './errors.js';
import type { NamedParameter } from './optimizers/optimizer.js';
import type { Precision, TrainableModel, TrainOptions } from './options.js';
import { dtypeOf } from './precision.js';

/** @throws TrainerError for options that cannot be */
export function checkOptions<B>(options: TrainOptions<B>): void {
  const { model, steps, accumulate = 1, clipNorm = 1, precision, evaluate, checkpoint, average } = options;
  const every = typeof checkpoint?.every === 'number' ? checkpoint.every : 1;
  requireWhole('steps', steps, 0);
  requireWhole('accumulate', accumulate, 1);
  requireWhole('evaluate.every', evaluate?.every ?? 1, 1);
  requireWhole('checkpoint.every', every, 1);
  if (!(clipNorm > 0)) {
    const [got, expected] = [String(clipNorm), 'a positive number'];
    throw new TrainerError({ where: 'train', what: 'bad clipNorm', got, expected });
  }
  requireWhole('evaluate.best.patience', evaluate?.best?.patience ?? 1, 1);
  if (evaluate?.best && !checkpoint) {
    throw new TrainerError({
      where: 'train',
      what: 'evaluate.best keeps a checkpoint, but none are written',
      hint: 'Give checkpoint.directory.',
    });
  }
  if (options.page !== undefined && options.log === undefined) {
    throw new TrainerError({
      where: 'train',
      what: 'the page shows the log, but none is written',
      hint: 'Give log.',
    });
  }
  if (evaluate?.averaged && !average) {
    throw new TrainerError({
      where: 'train',
      what: 'evaluate.averaged needs an average of the weights',
      hint: 'Give average: new WeightAverage().',
    });
  }
  if (precision !== undefined && model.computeDType === undefined) {
    throw new TrainerError({
      where: 'train',
      what: `the model cannot be told to compute in ${precision}`,
      hint: 'Leave precision out, or give the model a property computeDType that its layers follow.',
    });
  }
  if (precision !== undefined) requireDType(model, precision);
}

/** Every backend that the model lies on must have the dtype: V100 and T4 have no bf16. */
function requireDType(model: TrainableModel, precision: Precision): void {
  const dtype = dtypeOf(precision);
  const lacking = model.parameters().find(({ value }) => !value.backend.capabilities.dtypes.has(dtype));
  if (!lacking) return;
  const { name, capabilities } = lacking.value.backend;
  throw new TrainerError({
    where: 'precision',
    what: `the ${name} backend has no ${dtype} on this device`,
    got: precision,
    expected: (['f32', 'bf16', 'f16'] as const).filter((each) => capabilities.dtypes.has(each)).join(' or '),
    hint: capabilities.preferred && `Products are best made in ${capabilities.preferred} here.`,
  });
}

function requireWhole(name: string, value: number, smallest: number): void {
  if (Number.isInteger(value) && value >= smallest) return;
  const expected = `a whole number of at least ${smallest}`;
  throw new TrainerError({ where: 'train', what: `bad ${name}`, got: String(value), expected });
}

/** What is trained, without gradients of earlier work. @throws TrainerError when it cannot be trained */
export function trainableParameters(model: TrainableModel): NamedParameter[] {
  const named = [...model.namedParameters()].map(([path, parameter]) => ({ path, parameter }));
  const trainable = named.filter(({ parameter }) => parameter.trainable);
  if (trainable.length === 0) {
    throw new TrainerError({
      where: 'train',
      what: 'nothing to train',
      got: `${named.length} parameters, all frozen`,
      hint: 'Set trainable = true on the parameters that shall learn.',
    });
  }
  for (const { path, parameter } of trainable) {
    parameter.clearGradient();
    const { dtype } = parameter.value;
    if (dtype === 'f32') continue;
    throw new TrainerError({
      where: path,
      what: 'parameters are trained in f32',
      got: dtype,
      hint: "Load the model in f32; precision: 'bf16' computes in bf16 all the same.",
    });
  }
  return trainable;
}
