import {
  allDTypes,
  type Backend,
  BackendError,
  bytesPerElement,
  type Capabilities,
  isContiguous,
  type Kernel,
  type Kernels,
  type OpName,
  type OpSpecs,
  type PackedLayout,
  type Storage,
  sizeOf,
  type TensorInfo,
  type TensorView,
} from '@frugal/tensor-core';
import { type PackOptions, type PartArray, packedFormatNames } from '@frugal/tensor-core/formats';
import { type Addon, allIsas, type Isa } from './addon.js';
import { attributeEncoders } from './attributes.js';
import type { CommandBuffer, Execution } from './command.js';
import { type CpuStorage, MappedStorage, type MemoryPool, PooledStorage } from './memory.js';
import { packBlocks } from './pack-blocks.js';
import { packedKernels, supportsPacked } from './packed-kernels.js';
import { rows16Layout } from './packed-layout.js';
import { measurePeaks, type Peaks } from './peaks.js';
import { CpuRecording } from './recording.js';
import { contiguousView, hasVectors } from './views.js';

/** Ops whose kernels take inputs with any strides. */
const stridedOps: ReadonlySet<OpName> = new Set<OpName>([
  ...(['neg', 'abs', 'sign', 'exp', 'log', 'sqrt', 'rsqrt', 'sin', 'cos', 'tanh', 'sigmoid', 'erf'] as const),
  ...(['floor', 'isFinite', 'logicalNot', 'cast'] as const),
  ...([
    'add',
    'sub',
    'mul',
    'div',
    'pow',
    'maximum',
    'minimum',
    'equal',
    'less',
    'lessEqual',
    'where',
  ] as const),
  ...([
    'sum',
    'max',
    'argMax',
    'copy',
    'concat',
    'pad',
    'assign',
    'matmul',
    'integerMatmul',
    'linear',
  ] as const),
  ...(['attention', 'attentionBackward', 'cachedAttention'] as const),
]);

/** Ops whose kernels take any strides but for the last axis, whose elements must follow each other: heads cut out of a row. */
const vectorOps: readonly OpName[] = ['attention', 'attentionBackward', 'cachedAttention'];

/** What all backends of one JavaScript thread share. */
export interface Runtime {
  readonly addon: Addon;
  readonly command: CommandBuffer;
  readonly pool: MemoryPool;
}

/**
 * Native kernels for this machine's processor. Results do not depend on the number of threads, nor on what else is in
 * a batch: every output element is summed in one order.
 */
export class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly description: string;
  readonly capabilities: Capabilities = {
    strided: stridedOps,
    dtypes: new Set(allDTypes),
    get formats() {
      return new Set(packedFormatNames().filter((format) => rows16Layout(format, 0, 0)));
    },
    memory: 'host',
  };
  readonly kernels: Kernels;
  private readonly execution: Execution;

  constructor(
    private readonly runtime: Runtime,
    readonly isa: Isa,
    readonly threads: number,
    minimumWork: number,
  ) {
    this.execution = { isa: allIsas.indexOf(isa), threads, minimumWork };
    this.description = `cpu: ${runtime.addon.cpuModel}, ${isa}, ${threads} thread${threads === 1 ? '' : 's'}`;
    this.kernels = this.makeKernels();
  }

  allocate(byteLength: number): Storage {
    return new PooledStorage(this, byteLength, this.runtime.pool.take(byteLength));
  }

  free(storage: Storage): void {
    const { recordings } = storage as CpuStorage;
    if (recordings) for (const recording of recordings) recording.invalidate();
    if (storage instanceof PooledStorage) this.runtime.pool.give(storage.block);
    else storage.discard?.(0, storage.byteLength); // the mapping itself goes with the garbage collection
  }

  upload(bytes: Uint8Array): Storage {
    const storage = new PooledStorage(this, bytes.byteLength, this.runtime.pool.take(bytes.byteLength, true));
    storage.bytes(0, bytes.byteLength).set(bytes);
    return storage;
  }

  /**
   * A whole file as memory, without reading it: for weights. Give its tensors offsets that are multiples of their
   * element size. The file must not be truncated while it is mapped; its pages are given back with the last tensor.
   * @throws BackendError when the file cannot be opened
   */
  mapFile(path: string): Storage {
    try {
      return new MappedStorage(this, this.runtime.addon, this.runtime.addon.mapFile(path));
    } catch (cause) {
      throw new BackendError({
        where: 'mapFile',
        what: 'the file cannot be mapped',
        got: (cause as Error).message,
        cause,
      });
    }
  }

  record(inputs: readonly TensorView[], run: () => readonly TensorView[]): CpuRecording | null {
    return CpuRecording.make(this.runtime, inputs, run);
  }

  async read(view: TensorView): Promise<Uint8Array> {
    return this.readSync(view);
  }

  readSync(view: TensorView): Uint8Array {
    const { shape, dtype, offset } = view;
    const size = bytesPerElement(dtype);
    const length = sizeOf(shape) * size;
    const storage = view.storage as CpuStorage;
    if (isContiguous(shape, view.strides)) return storage.bytes(offset * size, length).slice();
    const copy = this.allocate(length) as PooledStorage;
    this.run('copy', [view], [contiguousView(shape, dtype, copy)]);
    const bytes = copy.bytes(0, length).slice();
    this.free(copy);
    return bytes;
  }

  packedLayout(format: string, rows: number, columns: number): PackedLayout | null {
    return rows16Layout(format, rows, columns);
  }

  pack(
    format: string,
    values: Float32Array,
    columns: number,
    { importance }: PackOptions,
  ): readonly PartArray[] | null {
    const packed = packBlocks(this, (...call) => this.run(...call), { format, values, columns }, importance);
    return packed && [packed];
  }

  async synchronize(): Promise<void> {}

  supports<N extends OpName>(op: N, _inputs: readonly TensorInfo[], attributes: OpSpecs[N]): boolean {
    return supportsPacked(op, attributes, this.runtime.addon.maxTensors);
  }

  /** Bytes in use and kept for reuse by the tensors of this JavaScript thread. */
  memoryUsage(): ReturnType<MemoryPool['usage']> {
    return this.runtime.pool.usage();
  }

  trimMemory(): void {
    this.runtime.pool.trim();
  }

  /**
   * What this backend's instructions and threads can do at most, by short loops of about a tenth of a second. Reading
   * memory is measured over `readBytes`, which should be more than the caches hold.
   */
  measurePeaks({ readBytes = 2 ** 30 } = {}): Peaks {
    return measurePeaks(
      this,
      (kernel, inputs, outputs, attributes) => this.run(kernel, inputs, outputs, attributes),
      readBytes,
    );
  }

  private run(
    kernel: string,
    inputs: readonly TensorView[],
    outputs: readonly TensorView[],
    attributes: readonly number[] = [],
  ): void {
    this.runtime.command.run(
      this.runtime.addon.kernels.indexOf(kernel),
      this.execution,
      inputs,
      outputs,
      attributes,
    );
  }

  private makeKernels(): Kernels {
    const { command, addon } = this.runtime;
    const { execution } = this;
    const kernels: Record<string, unknown> = {
      concat: ((inputs, [output], { axis }) => this.concat(inputs, output, axis)) satisfies Kernel<'concat'>,
    };
    kernels.sumOfSquares = ((inputs, outputs) =>
      this.sumOfSquares(inputs, outputs)) satisfies Kernel<'sumOfSquares'>;
    for (const [op, encode] of Object.entries(attributeEncoders)) {
      const number = addon.kernels.indexOf(op);
      const attributesOf = encode as (attributes: unknown) => readonly number[];
      // The counter of a random number is an attribute: each run would draw the same ones.
      const repeats = !op.startsWith('random');
      kernels[op] = (inputs: readonly TensorView[], outputs: readonly TensorView[], attributes: unknown) => {
        if (!repeats && command.watch) command.watch.isBroken = true;
        command.run(number, execution, inputs, outputs, attributesOf(attributes));
      };
    }
    kernels.adamw = this.inParts(kernels.adamw as Kernel<'adamw'>, 4, 2);
    kernels.adamw8bit = this.inParts(kernels.adamw8bit as Kernel<'adamw8bit'>, 6, 4);
    Object.assign(
      kernels,
      packedKernels(
        (...call) => this.run(...call),
        () => {
          const { watch } = command;
          if (watch) watch.isBroken = true; // JavaScript is not taken down
        },
      ),
    );
    for (const op of vectorOps) kernels[op] = this.prepared(kernels[op] as Kernel<OpName>, hasVectors);
    kernels.linear = this.prepared(
      kernels.linear as Kernel<OpName>,
      ({ shape, strides }, i) => i < 2 || isContiguous(shape, strides),
    );
    return kernels as Kernels;
  }

  private sumOfSquares(inputs: readonly TensorView[], outputs: readonly TensorView[]): void {
    for (const [i, part] of parts(inputs, this.runtime.addon.maxTensors - 1).entries())
      this.run('sumOfSquares', part, outputs, [i > 0 ? 1 : 0]);
  }

  /** An optimizer of groups of `width` tensors (one more with copies), then `shared` ones: as many at once as fit. */
  private inParts<N extends 'adamw' | 'adamw8bit'>(
    kernel: Kernel<N>,
    width: number,
    shared: number,
  ): Kernel<N> {
    return (inputs, outputs, attributes) => {
      const group = width + (attributes.copies ? 1 : 0);
      const most = group * Math.floor((this.runtime.addon.maxTensors - shared) / group);
      const last = inputs.slice(-shared);
      for (const part of parts(inputs.slice(0, -shared), most))
        kernel([...part, ...last], outputs, attributes);
    };
  }

  /** A kernel whose inputs are copied where they do not lie as it wants them. */
  private prepared(
    kernel: Kernel<OpName>,
    suits: (view: TensorView, index: number) => boolean,
  ): Kernel<OpName> {
    return (inputs, outputs, attributes) => {
      if (inputs.every(suits)) return kernel(inputs, outputs, attributes);
      const { watch } = this.runtime.command;
      if (watch) watch.isBroken = true; // the copies do not outlive this call
      const copies: Storage[] = [];
      const views = inputs.map((view, i) => {
        if (suits(view, i)) return view;
        const storage = this.allocate(sizeOf(view.shape) * bytesPerElement(view.dtype));
        copies.push(storage);
        const copy = contiguousView(view.shape, view.dtype, storage);
        this.run('copy', [view], [copy]);
        return copy;
      });
      kernel(views, outputs, attributes);
      for (const storage of copies) this.free(storage);
    };
  }

  /** One call per input: calls have room for a few tensors only. */
  private concat(inputs: readonly TensorView[], output: TensorView, axis: number): void {
    const start = output.shape.map(() => 0);
    for (const input of inputs) {
      this.run('place', [input], [output], start);
      start[axis] += input.shape[axis];
    }
  }
}

/** Calls have room for some hundred tensors. */
function parts<T>(list: readonly T[], size: number): (readonly T[])[] {
  const count = Math.ceil(list.length / size);
  return Array.from({ length: count }, (_, i) => list.slice(i * size, (i + 1) * size));
}
