import { readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DType as FileDType,
  OPTIMIZER_FILE,
  openTensors,
  parseJsonObject,
  type StagingDirectory,
  saveDirectory,
  type TensorInput,
  TRAINER_STATE_FILE,
} from '@frugal/checkpoint';
import { formatShape, fromBytes, noGrad, type RandomState, type Tensor } from '@frugal/tensor-core';
import type { BestState } from './best.js';
import { TrainerError } from './errors.js';
import type { Optimizer } from './optimizers/optimizer.js';
import type { TrainableModel } from './options.js';
import type { WeightAverage } from './weight-average.js';

export interface CheckpointOptions {
  /** Gets one folder per checkpoint, `step-00000100`. */
  readonly directory: string;
  /** Steps between two checkpoints, or seconds. There is always one at the end. Default: only there. */
  readonly every?: number | { readonly seconds: number };
  /** How many checkpoints are kept. Default 2. */
  readonly keep?: number;
  /** Go on from the newest checkpoint, if there is one. Without it a directory with checkpoints is refused. */
  readonly resume?: boolean;
  /** Puts more into each checkpoint, such as the model in the layout that others read. */
  readonly extra?: (staging: StagingDirectory) => Promise<void>;
}

/** What a checkpoint knows beside tensors: `trainer/state.json`. */
export interface TrainerState {
  readonly version: 1;
  readonly step: number;
  readonly updates: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly lossScale: { readonly value: number; readonly goodSteps: number };
  readonly batches: unknown;
  readonly random: RandomState | null;
  /** Of runs that look for the best evaluation. */
  readonly best?: BestState;
}

const PARAMETERS_FILE = 'trainer/parameters.safetensors';
const AVERAGE_FILE = 'trainer/average.safetensors';
const STEP_FOLDER = /^step-(\d{8,})$/;
/** Unfinished or half deleted folders of processes that are gone. */
const LEFTOVER = /^\.step-\d{8,}\./;

export { OPTIMIZER_FILE };

/** A checkpoint that a run goes on from. */
export interface RestoredRun {
  readonly state: TrainerState;
  readonly path: string;
}

/** What a checkpoint holds the tensors of. */
interface CheckpointParts {
  readonly model: TrainableModel;
  readonly optimizer: Optimizer;
  readonly average?: WeightAverage;
}

/**
 * The checkpoints of one run. Each is a folder that appears whole or not at all, so that a process may be killed at
 * any moment; the newest is the one to go on from.
 */
export class CheckpointStore {
  /** The newest checkpoint that this run has written or started from. */
  latestPath: string | null = null;
  private latestStep = 0;
  private latestTime = performance.now();

  constructor(
    private readonly options: CheckpointOptions,
    private readonly parts: CheckpointParts,
  ) {}

  isDue(step: number): boolean {
    const { every } = this.options;
    if (every === undefined) return false;
    if (typeof every === 'number') return step % every === 0;
    return performance.now() - this.latestTime >= every.seconds * 1000;
  }

  /** Whether steps were made since the newest checkpoint. */
  isBehind(step: number): boolean {
    return step > this.latestStep;
  }

  /** Another process of the job has written or read this checkpoint. */
  adopt(path: string, step: number): void {
    this.remember(path, step);
  }

  /**
   * Writes a checkpoint and deletes those that are too old. Returns its path. `tensors`, by file, are those beside
   * weights and their average.
   */
  async save(
    state: TrainerState,
    tensors: ReadonlyMap<string, ReadonlyMap<string, Tensor>> = new Map([
      [OPTIMIZER_FILE, this.parts.optimizer.state()],
    ]),
  ): Promise<string> {
    const { extra } = this.options;
    const { model, average } = this.parts;
    const path = this.pathOf(state.step);
    await saveDirectory(
      path,
      async (staging) => {
        await staging.writeTensors(PARAMETERS_FILE, inputsOf(trainedTensors(model)));
        for (const [file, slots] of tensors) {
          if (slots.size > 0) await staging.writeTensors(file, inputsOf(slots));
        }
        if (average) await staging.writeTensors(AVERAGE_FILE, inputsOf(average.state()));
        await staging.writeJson(TRAINER_STATE_FILE, state);
        await extra?.(staging);
      },
      { replaceable: ['trainer'] },
    );
    this.remember(path, state.step);
    await this.prune(state.best?.step);
    return path;
  }

  /** Puts the newest checkpoint into model and optimizer. Null when there is none. */
  async restore(): Promise<RestoredRun | null> {
    const path = (await this.list()).at(-1);
    if (path === undefined) return null;
    if (!this.options.resume) {
      throw new TrainerError({
        where: this.options.directory,
        what: 'there are checkpoints of an earlier run',
        got: path,
        hint: 'Resume it, or choose another directory.',
      });
    }
    const file = join(path, TRAINER_STATE_FILE);
    const state = parseJsonObject(await readFile(file), file) as unknown as TrainerState;
    if (state.version !== 1) {
      throw new TrainerError({
        where: file,
        what: 'unknown version',
        got: String(state.version),
        expected: '1',
      });
    }
    await this.restoreWeights(path);
    await this.restoreOptimizer(path);
    this.remember(path, state.step);
    return { state, path };
  }

  /** Puts the weights of the checkpoint of a step into the model, and into the average. Returns its path. */
  async useWeights(step: number): Promise<string> {
    const path = this.pathOf(step);
    await this.restoreWeights(path);
    return path;
  }

  /** Tensors of a file of the newest checkpoint, to be disposed; null when it has no such file. */
  async read(file: string): Promise<Map<string, Tensor> | null> {
    const path = this.latestPath;
    if (path === null || !(await hasFile(path, file))) return null;
    const all = new Map<string, Tensor>();
    await withTensors(join(path, file), trainedTensors(this.parts.model), (tensors) => {
      for (const [name, tensor] of tensors) all.set(name, tensor);
      tensors.clear();
    });
    return all;
  }

  private async restoreWeights(path: string): Promise<void> {
    const { model, average } = this.parts;
    await this.restoreModel(join(path, PARAMETERS_FILE));
    const hasAverage = await hasFile(path, AVERAGE_FILE);
    if (hasAverage !== (average !== undefined)) {
      throw new TrainerError({
        where: path,
        what: `the run was started with${hasAverage ? '' : 'out'} an average of its weights`,
        hint: 'Resume with the settings that it was started with.',
      });
    }
    if (!average) return;
    await withTensors(join(path, AVERAGE_FILE), trainedTensors(model), (tensors) => {
      average.load(tensors);
      tensors.clear();
    });
  }

  private async restoreModel(file: string): Promise<void> {
    const own = trainedTensors(this.parts.model);
    await withTensors(file, own, (saved) => {
      const wrong = [...new Set([...own.keys(), ...saved.keys()])].find(
        (name) => describe(own, name) !== describe(saved, name),
      );
      if (wrong !== undefined) {
        throw new TrainerError({
          where: file,
          what: `the checkpoint is of another model: ${wrong} differs`,
          got: describe(saved, wrong),
          expected: describe(own, wrong),
          hint: 'Resume with the same model, and with the same parameters trainable.',
        });
      }
      noGrad(() => {
        for (const [name, value] of saved) own.get(name)?.assign(value);
      });
    });
  }

  private async restoreOptimizer(path: string): Promise<void> {
    const { model, optimizer } = this.parts;
    if (!(await hasFile(path, OPTIMIZER_FILE))) return optimizer.load(new Map());
    await withTensors(join(path, OPTIMIZER_FILE), trainedTensors(model), (slots) => {
      optimizer.load(slots);
      slots.clear();
    });
  }

  private remember(path: string, step: number): void {
    this.latestPath = path;
    this.latestStep = step;
    this.latestTime = performance.now();
  }

  /** Paths of all checkpoints, the newest last. */
  private async list(): Promise<string[]> {
    const { directory } = this.options;
    const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    const numbered = names.flatMap((name) => {
      const match = STEP_FOLDER.exec(name);
      return match ? [{ name, step: Number(match[1]) }] : [];
    });
    return numbered.sort((a, b) => a.step - b.step).map(({ name }) => join(directory, name));
  }

  private pathOf(step: number): string {
    return join(this.options.directory, `step-${String(step).padStart(8, '0')}`);
  }

  /** Deletes all but the newest ones and that of step `best`. */
  private async prune(best: number | null = null): Promise<void> {
    const { directory, keep = 2 } = this.options;
    const old = (await this.list()).slice(0, -Math.max(1, keep));
    for (const path of old.filter((path) => best === null || path !== this.pathOf(best))) {
      // Renamed first: what is called step-… must be whole.
      await rename(path, join(directory, `.${path.slice(directory.length + 1)}.removing`));
    }
    const names = await readdir(directory);
    for (const name of names.filter((name) => LEFTOVER.test(name)))
      await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function hasFile(checkpoint: string, file: string): Promise<boolean> {
  return (await readdir(join(checkpoint, 'trainer'))).some((name) => file === `trainer/${name}`);
}

/** Everything that training changes: trainable parameters and buffers. */
export function trainedTensors(model: TrainableModel): Map<string, Tensor> {
  const parameters = [...model.namedParameters()].filter(([, parameter]) => parameter.trainable);
  return new Map([...parameters, ...model.namedBuffers()].map(([path, { value }]) => [path, value]));
}

function inputsOf(tensors: ReadonlyMap<string, Tensor>): TensorInput[] {
  return [...tensors].map(([name, tensor]) => ({
    name,
    dtype: tensor.dtype.toUpperCase() as FileDType,
    shape: tensor.shape,
    bytes: () => tensor.bytes(),
  }));
}

/** Reads a file of tensors, each onto the backend of that of the same name; those that `use` leaves in the map are disposed. */
async function withTensors(
  file: string,
  like: ReadonlyMap<string, Tensor>,
  use: (tensors: Map<string, Tensor>) => void,
): Promise<void> {
  const [{ backend: home }] = like.values();
  const source = await openTensors(file);
  const tensors = new Map<string, Tensor>();
  try {
    for (const [name, { dtype, shape }] of source.entries) {
      const bytes = await source.read(name);
      const backend = like.get(name)?.backend ?? home;
      tensors.set(name, fromBytes(bytes, { shape, dtype: dtype.toLowerCase() as Tensor['dtype'], backend }));
    }
    use(tensors);
  } finally {
    for (const tensor of tensors.values()) tensor.dispose();
    await source.close();
  }
}

function describe(tensors: ReadonlyMap<string, Tensor>, name: string): string {
  const tensor = tensors.get(name);
  return tensor ? `${tensor.dtype} ${formatShape(tensor.shape)}` : 'nothing';
}
