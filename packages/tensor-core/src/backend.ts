import type { DType, FloatDType } from './dtype.js';
import type { PackOptions, PartArray } from './formats/index.js';
import type { OpName, OpSpecs } from './ops/specs.js';
import type { Shape } from './shape.js';

/** What `infer` knows of a tensor. */
export interface TensorInfo {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What a kernel sees of a tensor. Strides and offset count elements, not bytes. */
export interface TensorView<S extends Storage = Storage> extends TensorInfo {
  readonly strides: readonly number[];
  readonly offset: number;
  readonly storage: S;
}

/**
 * A piece of memory of one backend. Core counts references and calls `backend.free` when the last one is
 * gone; a backend extends this class with what it needs (a host buffer, a device handle).
 */
export abstract class Storage {
  /** Handles (tensors, views, saved values on the tape) that use this memory. Managed by core. */
  references = 1;
  /** Counts mutations, so that the tape notices when a saved value was changed. Managed by core. */
  version = 0;

  constructor(
    readonly backend: Backend,
    readonly byteLength: number,
  ) {}

  /**
   * Of a mapped file: gives back the memory of a range until it is touched again. What was written there is lost. With
   * `cached` the operating system forgets it as well, so that it must be read from the disk again.
   */
  discard?(byteOffset: number, byteLength: number, options?: { readonly cached?: boolean }): void;

  /** Of a mapped file: begins to read a range that will be touched soon, and does not wait for it. */
  prefetch?(byteOffset: number, byteLength: number): void;
}

/**
 * Runs one op: reads `inputs`, fills `outputs` (allocated by core, contiguous, contents undefined), which have
 * the shapes and dtypes that `infer` returned. For ops that declare `mutates`, those inputs are changed in place.
 * Kernels check nothing (`infer` has) and may return before the work is done: only `read` and `synchronize` wait.
 */
export type Kernel<N extends OpName> = (
  inputs: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: OpSpecs[N],
) => void;

export type Kernels = { readonly [N in OpName]?: Kernel<N> };

export interface Capabilities {
  /** Ops whose kernels take inputs with any strides; core hands contiguous inputs to all others. */
  readonly strided: ReadonlySet<OpName> | 'all';
  /** Dtypes that tensors of this backend can have. */
  readonly dtypes: ReadonlySet<DType>;
  /** What products of models are best made in here. Left out: f32. */
  readonly preferred?: FloatDType | undefined;
  /** Packed formats for which `packedMatmul` has a kernel; core unpacks the others tile by tile. */
  readonly formats: ReadonlySet<string>;
  /** False where numbers below 2^-126 count as zero, as they do on many devices. Left out: they are kept. */
  readonly subnormals?: boolean | undefined;
  /** Where storages live: core frees `device` memory only by scopes and `dispose()`, never by finalizers. */
  readonly memory: 'host' | 'device';
}

export interface PackedLayout {
  readonly name: string;
  readonly byteLength: number;
}

/** Ops that a backend has taken down. */
export interface Recording {
  /** False once memory that the ops read or change, other than inputs and outputs, was freed. */
  readonly isValid: boolean;
  /**
   * Runs the ops on other inputs, into other outputs: storages as large as the recorded ones, in the same order, used in
   * their places with the same shapes. Everything else is read as it is now. Gives the bits that the ops would give.
   */
  replay(inputs: readonly Storage[], outputs: readonly Storage[]): void;
  /** Seconds and calls of each kernel in replays since this was called with `true` the last time; empty otherwise. */
  measure(on: boolean): readonly { readonly op: string; readonly calls: number; readonly seconds: number }[];
  dispose(): void;
}

/**
 * What contributors implement to bring a device. A backend knows nothing of gradients, modules or models. It
 * must have a kernel for every primitive in {@link primitiveOps}; fused ops are optional and decompose in core.
 * Prove it with `@frugal/tensor-core/conformance`. See `docs/add-a-backend.md`.
 */
export interface Backend {
  /** Short and stable: `reference`, `cpu`, `cuda`, `ascend`. */
  readonly name: string;
  /** One line for people: device, instruction set, threads. */
  readonly description: string;
  readonly capabilities: Capabilities;
  readonly kernels: Kernels;

  /** Uninitialised memory. Throws `BackendError` with sizes when there is none left. */
  allocate(byteLength: number): Storage;
  /** Called once, when nothing refers to the storage any more. */
  free(storage: Storage): void;
  /** Copies host bytes (row-major, little-endian) into new memory. */
  upload(bytes: Uint8Array): Storage;
  /**
   * A whole file as memory, without reading it: pages come when they are touched. For weights; left out by backends
   * whose memory is not the host's. The file must not be shortened while it is mapped.
   */
  mapFile?(path: string): Storage;
  /** Waits for all work that `view` depends on and copies its elements, row-major, to the host. */
  read(view: TensorView): Promise<Uint8Array>;
  /**
   * Same as `read`, at once: it waits for the device. Core moves values between backends with it, and where memory is the
   * host's it also checks index values before a kernel runs; devices check in their kernels.
   */
  readSync?(view: TensorView): Uint8Array;
  /** Gives memory back that is only kept for tensors to come: for work whose next step has other sizes. */
  trimMemory?(): void;

  /**
   * The physical layout in which kernels of this backend read a packed matrix fastest, or null for the format's own
   * parts. It is one u8 tensor of `byteLength` bytes, made by `packedRepack` and undone, byte for byte, by
   * `packedStandard`; `unpack`, `packedMatmul` and `packedGather` get it with the attribute `layout`.
   */
  packedLayout?(format: string, rows: number, columns: number): PackedLayout | null;
  /**
   * Packs f32 values of the host (row-major) into the parts of a format, byte for byte as the format does, but faster; null
   * for what it leaves to the format. Left out: everything.
   */
  pack?(
    format: string,
    values: Float32Array,
    columns: number,
    options: PackOptions,
  ): readonly PartArray[] | null;
  /**
   * Runs `run` and takes down its ops, so that they can run again without JavaScript between them; null when something
   * in them cannot be repeated. `inputs` and the results of `run` change from time to time: each lies in a storage of
   * its own. Core falls back to running op by op where a backend leaves this out.
   */
  record?(inputs: readonly TensorView[], run: () => readonly TensorView[]): Recording | null;
  /** Waits for all work enqueued so far; throws the errors of that work. */
  synchronize(): Promise<void>;
  /**
   * Refuses single cases of an op that `kernels` lists (a dtype, a size); core then decomposes or reports the op
   * as unsupported. Left out: every listed kernel takes all that `infer` accepts. An op that is about to run gives views,
   * with strides and storage.
   */
  supports?<N extends OpName>(op: N, inputs: readonly TensorInfo[], attributes: OpSpecs[N]): boolean;
}
