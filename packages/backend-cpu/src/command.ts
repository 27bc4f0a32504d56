import { BackendError, bytesPerElement, type DType, formatShape, type TensorView } from '@frugal/tensor-core';
import type { Addon } from './addon.js';
import type { CpuStorage } from './memory.js';
import type { CallWatch } from './recording.js';

/** Numbers of dtypes in calls: the order of `DType` in native/core/call.hpp. */
const numberOfDType: Record<DType, number> = { f32: 0, bf16: 1, f16: 2, i8: 3, u8: 4, i32: 5, bool: 6 };

const HEADER = 7;
/** Attributes are short lists; tensors are at most `maxTensors` of 3 + 2 · rank words, at most 27. */
const CAPACITY = 16384;

/** Memory as a recording knows it. */
type Place = Pick<CpuStorage, 'address' | 'capacity'>;

/** Which version of a kernel runs, and on how many threads. */
export interface Execution {
  /** Position in {@link allIsas}. */
  readonly isa: number;
  readonly threads: number;
  /** Nanoseconds of work from which on a kernel uses several threads. */
  readonly minimumWork: number;
}

/**
 * Writes calls into the buffer that the addon reads: [kernel, isa, threads, minimum work, inputs, outputs,
 * attribute count, attributes…, then per tensor: address, dtype, rank, dims…, strides…].
 */
export class CommandBuffer {
  /** Sees all calls, while not null. */
  watch: CallWatch | null = null;
  private readonly words = new Float64Array(CAPACITY);

  constructor(private readonly addon: Addon) {
    addon.initialize(this.words.buffer as ArrayBuffer);
  }

  run(
    kernel: number,
    execution: Execution,
    inputs: readonly TensorView[],
    outputs: readonly TensorView[],
    attributes: readonly number[],
  ): void {
    if (this.watch) {
      this.watch.see(inputs);
      this.watch.see(outputs);
    }
    const { words } = this;
    words[0] = kernel;
    words[1] = execution.isa;
    words[2] = execution.threads;
    words[3] = execution.minimumWork;
    words[4] = inputs.length;
    words[5] = outputs.length;
    words[6] = attributes.length;
    let at = HEADER;
    for (let i = 0; i < attributes.length; i++) words[at++] = attributes[i];
    for (let i = 0; i < inputs.length; i++) at = this.put(inputs[i], at);
    for (let i = 0; i < outputs.length; i++) at = this.put(outputs[i], at);
    this.addon.execute();
  }

  /** For `finishRecording`: the memory that differs from run to run. */
  putSlots(slots: readonly Place[]): void {
    if (1 + 2 * slots.length > CAPACITY) throw tooMany(slots.length);
    this.words[0] = slots.length;
    for (const [i, { address, capacity }] of slots.entries()) this.words.set([address, capacity], 1 + 2 * i);
  }

  /** For `replay`: where that memory lies now, in the same order. */
  putAddresses(
    measure: boolean,
    inputs: readonly Place[],
    outputs: readonly Place[],
    scratch: number,
    offsets: readonly number[],
  ): void {
    const { words } = this;
    words[0] = measure ? 1 : 0;
    let at = 1;
    for (let i = 0; i < inputs.length; i++) words[at++] = inputs[i].address;
    for (let i = 0; i < outputs.length; i++) words[at++] = outputs[i].address;
    for (let i = 0; i < offsets.length; i++) words[at++] = scratch + offsets[i];
  }

  private put(view: TensorView, start: number): number {
    const { words } = this;
    const { shape, strides, dtype } = view;
    const rank = shape.length;
    if (rank > this.addon.maxRank) throw tooManyAxes(view, this.addon.maxRank);
    let at = start;
    words[at++] = (view.storage as CpuStorage).address + view.offset * bytesPerElement(dtype);
    words[at++] = numberOfDType[dtype];
    words[at++] = rank;
    for (let axis = 0; axis < rank; axis++) {
      words[at + axis] = shape[axis];
      words[at + rank + axis] = strides[axis];
    }
    return at + 2 * rank;
  }
}

function tooMany(count: number): BackendError {
  return new BackendError({
    where: 'backend-cpu',
    what: 'too many inputs, outputs and intermediate results of a recording',
    got: String(count),
    expected: `at most ${(CAPACITY - 1) >> 1}`,
  });
}

function tooManyAxes({ shape }: TensorView, limit: number): BackendError {
  return new BackendError({
    where: 'backend-cpu',
    what: 'a tensor has too many axes',
    got: formatShape(shape),
    expected: `at most ${limit} axes`,
    hint: 'Merge axes with reshape().',
  });
}
