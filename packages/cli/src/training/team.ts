import {
  folderCollective,
  joinMpiJob,
  localCollectives,
  mpiLaunch,
  NonFiniteLossError,
  StoppedByOthersError,
  type TrainOptions,
} from '@frugal/trainer';
import { type Command, InvalidArgumentError } from 'commander';
import type { Context } from '../context.js';
import { CommandError, Interrupted, UsageError } from '../errors.js';
import { integer } from '../verb.js';
import { type DistributedConfig, defaultDistribution, type Experiment } from './config.js';

export type Distributed = NonNullable<TrainOptions['distributed']>;

/** Of verbs that have no configuration file for it. */
export interface TeamFlags {
  readonly localSteps?: number;
  readonly exchange?: string;
  readonly process?: ProcessNumber;
}

/** Which of how many processes this one is, counted from 0. */
interface ProcessNumber {
  readonly rank: number;
  readonly ranks: number;
}

/** Those that train together, and which of them this process is where nobody else says so. */
export interface Team {
  readonly settings: DistributedConfig;
  readonly rank: number | undefined;
}

/** `--local-steps`, `--exchange`, `--process`. */
export function addTeamOptions(command: Command): Command {
  return command
    .option(
      '--local-steps <N>',
      'by several processes: exchange weights after so many steps only, early more often (DiLoCo); default: gradients in every step',
      integer(1),
    )
    .option('--exchange <DIR>', 'train with processes that share this folder, instead of by mpirun')
    .option('--process <K/N>', 'with --exchange: this is number K, from 0, of N processes', processNumber);
}

function processNumber(text: string): ProcessNumber {
  const [, rank, ranks] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
  if (rank < ranks) return { rank, ranks };
  throw new InvalidArgumentError('Expected a number from 0 and how many there are, such as 0/2 and 1/2.');
}

/**
 * The team of those that mpirun has started or that share a folder, if there is one.
 * @throws UsageError for --local-steps without others, and for a folder without a number or the other way round
 */
export function launchedTeam({ localSteps, exchange: folder, process }: TeamFlags): Team | undefined {
  if ((folder === undefined) !== (process === undefined)) {
    throw new UsageError({
      where: folder === undefined ? '--process' : '--exchange',
      what: '--exchange and --process go together',
      hint: 'Start each process with a number of its own: --exchange DIR --process 0/2, and 1/2.',
    });
  }
  const shared = process && { folder, ranks: process.ranks };
  if (shared || mpiLaunch()) {
    const local = localSteps !== undefined && { localSteps };
    return { settings: { ...defaultDistribution(), ...shared, ...local }, rank: process?.rank };
  }
  if (localSteps === undefined) return undefined;
  throw new UsageError({
    where: '--local-steps',
    what: 'one process alone exchanges nothing',
    hint: 'Start several: mpirun -np 2 frugal …, or with --exchange.',
  });
}

/** Whether this process writes files and speaks; one that trains alone does. */
export function isMain(distributed: Distributed | undefined): boolean {
  return (distributed?.collective.rank ?? 0) === 0;
}

/** What the main process does before the others do the same: they find what it has written. */
export async function mainFirst<T>(distributed: Distributed | undefined, work: () => Promise<T>): Promise<T> {
  if (!isMain(distributed)) await distributed?.collective.barrier();
  const result = await work();
  if (isMain(distributed)) await distributed?.collective.barrier();
  return result;
}

/** `mpirun -np N` trains with N processes, whether the configuration says so or not. */
export function withLaunch(experiment: Experiment): Experiment {
  return mpiLaunch()
    ? { ...experiment, distributed: experiment.distributed ?? defaultDistribution() }
    : experiment;
}

/**
 * Joins the other processes, if there shall be any, and leaves them at the end; when something fails here alone, all end.
 * @throws UsageError for a rank without a folder or the other way round, TrainerError when the others cannot be joined
 */
export async function inTeam<T>(
  settings: DistributedConfig | undefined,
  rank: number | undefined,
  context: Context,
  work: (distributed: Distributed | undefined) => Promise<T>,
): Promise<T> {
  checkRank(settings, rank);
  if (!settings) return work(undefined);
  const { folder, ranks } = settings;
  if (folder !== undefined && ranks !== undefined) {
    if (rank === 0) context.terminal.err(`Waiting in ${folder} for ${ranks - 1} more.\n`);
    const { signal } = context;
    const options = { folder, rank: rank as number, size: ranks, signal };
    return work(distributedOf(settings, await folderCollective(options)));
  }
  if (!mpiLaunch()) return work(distributedOf(settings, localCollectives()[0]));
  const job = joinMpiJob();
  try {
    const result = await work(distributedOf(settings, job.collective));
    job.close();
    return result;
  } catch (error) {
    // These end all ranks at the same step; after anything else the others would wait for ever.
    const isCommon = [Interrupted, NonFiniteLossError, StoppedByOthersError].some(
      (kind) => error instanceof kind,
    );
    if (isCommon) job.close();
    else job.abort(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

function distributedOf(settings: DistributedConfig, collective: Distributed['collective']): Distributed {
  const { localSteps: steps, outerLearningRate: learningRate, outerMomentum: momentum, speeds } = settings;
  const { rounds, bits } = settings;
  return {
    collective,
    ...(speeds && { speeds }),
    ...(steps !== undefined && { local: { steps, rounds, bits, learningRate, momentum } }),
  };
}

function checkRank(settings: DistributedConfig | undefined, rank: number | undefined): void {
  const { folder, ranks } = settings ?? {};
  if (ranks === undefined && rank !== undefined) {
    throw new UsageError({
      where: '--rank',
      what: 'the configuration has no distributed.folder',
      hint: 'mpirun tells its processes their ranks by itself.',
    });
  }
  if (folder === undefined || ranks === undefined) return;
  if (mpiLaunch()) {
    throw new CommandError({
      where: folder,
      what: 'mpirun and a folder are two ways to exchange',
      hint: 'Leave out the folder, or start the processes without mpirun.',
    });
  }
  if (rank === undefined || rank >= ranks) {
    throw new UsageError({
      where: '--rank',
      what: 'which of the processes is this?',
      got: rank === undefined ? 'nothing' : String(rank),
      expected: `0 to ${ranks - 1}`,
    });
  }
}
