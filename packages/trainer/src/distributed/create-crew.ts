import { TrainerError } from '../errors.js';
import type { NamedParameter } from '../optimizers/optimizer.js';
import type { TrainOptions } from '../options.js';
import { type Crew, SingleCrew, type Wishes } from './crew.js';
import { LocalUpdateCrew } from './local-update-crew.js';
import { SynchronousCrew } from './synchronous-crew.js';

/** @throws TrainerError for options that do not go together */
export function createCrew<B>(
  options: TrainOptions<B>,
  parameters: readonly NamedParameter[],
  wishes: () => Wishes,
): Crew {
  const { distributed, random, average, evaluate, precision } = options;
  if (!distributed) return new SingleCrew(options, parameters, wishes);
  refuse(
    random !== undefined,
    'random numbers of the loss (dropout) would differ with the division of the work',
  );
  const { local } = distributed;
  if (!local) return new SynchronousCrew(options, distributed, parameters, wishes);
  const { steps, rounds = 'growing', bits = 4 } = local;
  check('steps', steps, Number.isInteger(steps) && steps > 0, 'a whole number of at least 1');
  check('rounds', rounds, ['growing', 'even'].includes(rounds), 'growing or even');
  check('bits', bits, [4, 8].includes(bits), '4 or 8');
  refuse(
    average !== undefined,
    'an average of weights cannot follow weights that are exchanged now and then',
  );
  refuse(
    precision === 'f16',
    'the loss scale of f16 would differ between the ranks',
    'Use bf16, or f32 where the device has none.',
  );
  refuse(
    evaluate !== undefined && evaluate.every % local.steps !== 0,
    `evaluations fall between two exchanges of weights, which are ${local.steps} steps apart`,
    'Let evaluate.every be a multiple of that.',
  );
  return new LocalUpdateCrew(options, distributed, local, parameters, wishes);
}

function check(option: string, value: string | number, isRight: boolean, expected: string): void {
  if (isRight) return;
  const where = 'distributed.local';
  throw new TrainerError({ where, what: `bad ${option}`, got: String(value), expected });
}

function refuse(isWrong: boolean, what: string, hint = 'Leave it out, or train in one process.'): void {
  if (isWrong) throw new TrainerError({ where: 'distributed', what, hint });
}
