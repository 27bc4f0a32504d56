import type { Command } from 'commander';
import { integer, number, Option } from '../verb.js';
import { checkTraining, type TrainingConfig, type TrainingOverrides } from './config.js';

/** What flags say about a training; each stands above the configuration file. */
export interface TrainingFlags {
  readonly steps?: number;
  readonly sequence?: number;
  readonly batch?: number;
  readonly learningRate?: number;
  readonly precision?: TrainingConfig['precision'];
  readonly seed?: number;
}

/** What a verb does when a flag is left out, for its help. */
const DEFAULTS = { sequence: '128', batch: '16', learningRate: '0.01' };

/** `--steps`, `--sequence`, `--batch`, `--learning-rate`, `--precision`, `--seed`. */
export function addTrainingOptions(command: Command, defaults = DEFAULTS): Command {
  return command
    .option('--steps <N>', 'updates in all', integer(1))
    .option('--sequence <N>', `tokens per sequence (default: ${defaults.sequence})`, integer(2))
    .option('--batch <N>', `sequences per batch (default: ${defaults.batch})`, integer(1))
    .option('--learning-rate <R>', `peak of the schedule (default: ${defaults.learningRate})`, number(0))
    .addOption(
      new Option(
        '--precision <P>',
        'of the activations (default: auto, what the device multiplies best; f32 on a processor)',
      ).choices(['auto', 'f32', 'bf16', 'f16', 'int8']),
    )
    .option('--seed <N>', 'order of the data (default: 1)', integer());
}

/** Flags over settings of a file over defaults. @throws CommandError listing every wrong setting */
export function trainingOf(flags: TrainingFlags, settings: TrainingOverrides | undefined): TrainingConfig {
  const { steps, sequence, batch, learningRate, precision, seed } = flags;
  const given = Object.entries({ steps, sequence, batch, learningRate, precision, seed }).filter(
    ([, value]) => value !== undefined,
  );
  const base: TrainingOverrides = { ...settings };
  if (steps !== undefined) delete base.tokens;
  return checkTraining({ ...base, ...Object.fromEntries(given) }, 'training');
}
