import type { Recording, Storage } from './backend.js';
import type { OpProfile } from './debug.js';
import { allocateStorage, retainStorage } from './memory.js';
import { scope } from './scope.js';
import { Tensor } from './tensor.js';

/** False once the ops being recorded depend on values that were read. */
let isRepeatable = true;

/**
 * The values of an i32 tensor at once, for a choice that the host has to make (which experts to run); null where memory is
 * not the host's. What is being recorded cannot be repeated then: other values would choose otherwise.
 */
export function readIndices(indices: Tensor): Int32Array | null {
  const { readSync, capabilities } = indices.backend;
  if (!readSync || capabilities.memory !== 'host') return null;
  isRepeatable = false;
  const bytes = readSync.call(indices.backend, indices);
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** What is being recorded does something that replaying would leave out. */
export function cannotRepeat(): void {
  isRepeatable = false;
}

/**
 * Runs `run` on `inputs` and, where their backend can, takes its ops down. All else that the ops read (weights, caches)
 * belongs to the recording: it may change in place, but must stay where it is. Use it inside noGrad(), for a function
 * that does the same ops for all inputs of these shapes.
 */
export function recordOps(
  inputs: readonly Tensor[],
  run: () => readonly Tensor[],
): { readonly outputs: readonly Tensor[]; readonly recorded: RecordedOps | null } {
  const { backend } = inputs[0].storage;
  let outputs: readonly Tensor[] = [];
  const work = () => {
    // What is not a result is freed before the recording ends: nobody else will ask for it.
    outputs = scope(run);
    return outputs;
  };
  if (!backend.record) return { outputs: work(), recorded: null };
  const before = isRepeatable;
  isRepeatable = true;
  try {
    const recording = backend.record(inputs, work);
    if (recording && isRepeatable) return { outputs, recorded: new RecordedOps(recording, outputs) };
    recording?.dispose();
    return { outputs, recorded: null };
  } finally {
    isRepeatable &&= before;
  }
}

type Layout = Pick<Tensor, 'shape' | 'strides' | 'offset' | 'dtype'>;

/** Ops that were taken down: a function of tensors that runs without dispatch. */
export class RecordedOps {
  private readonly layouts: readonly (Layout & { readonly storage: number })[];
  private readonly bytes: readonly number[];

  constructor(
    private readonly recording: Recording,
    outputs: readonly Tensor[],
  ) {
    const storages = [...new Set(outputs.map(({ storage }) => storage))];
    this.bytes = storages.map(({ byteLength }) => byteLength);
    this.layouts = outputs.map(({ shape, strides, offset, dtype, storage }) => ({
      ...{ shape, strides, offset, dtype },
      storage: storages.indexOf(storage),
    }));
  }

  /** False once a tensor that the ops need was disposed. */
  get isValid(): boolean {
    return this.recording.isValid;
  }

  /** New tensors, as the recorded function would give them for inputs of the recorded shapes. */
  run(inputs: readonly Tensor[]): Tensor[] {
    const { backend } = inputs[0].storage;
    const storages = this.bytes.map((bytes) => allocateStorage(backend, bytes));
    this.recording.replay(
      inputs.map(({ storage }) => storage),
      storages,
    );
    const used = new Set<Storage>();
    return this.layouts.map(({ shape, strides, offset, dtype, storage: index }) => {
      const storage = storages[index];
      if (used.has(storage)) retainStorage(storage);
      used.add(storage);
      return new Tensor(storage, shape, strides, offset, dtype);
    });
  }

  /** Time in each kernel of the runs since this was called with `true`. */
  measure(on: boolean): readonly OpProfile[] {
    return this.recording.measure(on);
  }

  dispose(): void {
    this.recording.dispose();
  }
}
