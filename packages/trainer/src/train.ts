import { setImmediate } from 'node:timers/promises';
import type { TrainBatch } from '@frugal/tensor-core/nn';
import { CheckpointStore, type TrainerState } from './checkpoints.js';
import { NonFiniteLossError, TrainerError } from './errors.js';
import { Meter } from './meter.js';
import type { NamedParameter } from './optimizers/optimizer.js';
import type { StepEvent, TrainableModel, TrainEvent, TrainOptions } from './options.js';
import { LossScale, usePrecision } from './precision.js';
import { RunLog } from './run-log.js';
import { type LaunchedStep, launchStep } from './train-step.js';

/**
 * The training loop: everything that changes weights goes through it. Losses, optimizers and schedules are values;
 * what happens comes out as events, and whoever reads them may stop reading (`break`) at any time.
 *
 * A step is enqueued and its loss read while the next one runs, so that a device never waits. A run that was killed
 * and is started again with `checkpoint.resume` ends with the same bits as one that was not.
 *
 * @throws NonFiniteLossError when a loss or gradient is NaN or infinite (f16 first tries a smaller loss scale),
 *   TrainerError when options or a checkpoint do not fit, the signal's reason when it was aborted
 */
export async function* train<B = TrainBatch>(
  options: TrainOptions<B>,
): AsyncGenerator<TrainEvent, void, undefined> {
  const { steps, schedule, evaluate, signal } = options;
  const parameters = trainableParameters(options);
  const run = new Run(options);
  const store = options.checkpoint && new CheckpointStore(options.checkpoint, options);
  const resumed = await store?.restore();
  if (resumed) run.restore(resumed.state);
  const log = options.log === undefined ? null : new RunLog(options.log, run.step);
  const meter = new Meter(run);
  const leavePrecision = usePrecision(options.model, options.precision);
  const inFlight: LaunchedStep[] = [];

  /** Waits for the oldest step in flight and tells how it went. */
  const settle = async (): Promise<StepEvent> => {
    const { step, learningRate, tokens, values } = inFlight[0];
    const [loss, gradientNorm, finite] = await values;
    inFlight.shift()?.outcome.dispose();
    const skipped = finite === 0;
    if (skipped) run.updates--;
    if (!run.lossScale.adjust(!skipped)) {
      throw new NonFiniteLossError({
        step,
        loss,
        gradientNorm,
        learningRate,
        checkpoint: store?.latestPath ?? null,
      });
    }
    const reading = meter.observe(step, steps, loss, tokens);
    Object.assign(run, { tokens: reading.tokens, seconds: reading.seconds });
    const event: StepEvent = {
      type: 'step',
      step,
      steps,
      loss,
      learningRate,
      gradientNorm,
      skipped,
      ...reading,
    };
    log?.write(event);
    return event;
  };

  try {
    if (resumed) yield { type: 'resume', step: run.step, steps, path: resumed.path };
    while (run.step < steps && !signal?.aborted) {
      await setImmediate(); // lets signals, timers and servers of this process have their turn
      const learningRate = schedule(run.step);
      const plan = { step: ++run.step, update: ++run.updates, learningRate, lossScale: run.lossScale.value };
      inFlight.push(await launchStep(options, parameters, { ...plan, previous: inFlight.at(-1) ?? null }));

      const mustEvaluate = evaluate && (run.step % evaluate.every === 0 || run.step === steps);
      const mustSave = store?.isDue(run.step);
      // The next loss scale of f16 depends on this step.
      const mayStayInFlight = mustEvaluate || mustSave || run.lossScale.isDynamic ? 0 : 1;
      while (inFlight.length > mayStayInFlight) yield await settle();
      if (mustEvaluate) {
        const event = { type: 'evaluation', step: run.step, metrics: await evaluate.run(run.step) } as const;
        log?.write(event);
        yield event;
      }
      if (mustSave) yield { type: 'checkpoint', step: run.step, path: await store!.save(run.state()) };
    }
    while (inFlight.length > 0) yield await settle();
    if (store?.isBehind(run.step))
      yield { type: 'checkpoint', step: run.step, path: await store.save(run.state()) };
    signal?.throwIfAborted();
  } finally {
    for (const { outcome } of inFlight) outcome.dispose();
    log?.close();
    leavePrecision();
  }
}

/** Where a run stands. */
class Run {
  step = 0;
  updates = 0;
  tokens = 0;
  seconds = 0;
  readonly lossScale: LossScale;

  constructor(private readonly options: Pick<TrainOptions<unknown>, 'batches' | 'random' | 'precision'>) {
    this.lossScale = new LossScale(options.precision === 'f16');
  }

  state(): TrainerState {
    const { step, updates, tokens, seconds } = this;
    const { batches, random } = this.options;
    const lossScale = this.lossScale.state();
    return {
      version: 1,
      step,
      updates,
      tokens,
      seconds,
      lossScale,
      batches: batches.state(),
      random: random?.state() ?? null,
    };
  }

  restore({ step, updates, tokens, seconds, lossScale, batches, random }: TrainerState): void {
    Object.assign(this, { step, updates, tokens, seconds });
    this.lossScale.restore(lossScale);
    this.options.batches.restore(batches);
    if (random) this.options.random?.restore(random);
  }
}

type Limits = Pick<TrainOptions, 'model' | 'steps' | 'accumulate' | 'clipNorm'>;

function trainableParameters({ model, steps, accumulate = 1, clipNorm = 1 }: Limits): NamedParameter[] {
  requireOption('steps', steps, Number.isInteger(steps) && steps >= 0, 'a whole number');
  requireOption(
    'accumulate',
    accumulate,
    Number.isInteger(accumulate) && accumulate > 0,
    'a positive whole number',
  );
  requireOption('clipNorm', clipNorm, clipNorm > 0, 'a positive number');
  return namedTrainable(model);
}

function requireOption(name: string, value: number, isValid: boolean, expected: string): void {
  if (!isValid) throw new TrainerError({ where: 'train', what: `bad ${name}`, got: String(value), expected });
}

function namedTrainable(model: TrainableModel): NamedParameter[] {
  const named = [...model.namedParameters()].map(([path, parameter]) => ({ path, parameter }));
  const trainable = named.filter(({ parameter }) => parameter.trainable);
  if (trainable.length > 0) return trainable;
  throw new TrainerError({
    where: 'train',
    what: 'nothing to train',
    got: `${named.length} parameters, all frozen`,
    hint: 'Set trainable = true on the parameters that shall learn.',
  });
}
