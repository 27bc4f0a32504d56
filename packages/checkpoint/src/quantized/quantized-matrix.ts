import type { PackedActivation, PartArray, PartDType, PartInfo } from '@frugal/tensor-core/formats';
import type { DType, PlainDType } from '../dtypes.js';
import { toFloat32, typedArrayOf } from '../numeric/convert.js';
import type { TensorInput } from '../tensor-input.js';
import type { TensorEntry, TensorSource } from '../tensor-source.js';

/** A matrix that a checkpoint holds quantised, as a packed format of `@frugal/tensor-core/formats`. */
export interface QuantizedMatrix {
  readonly format: string;
  readonly shape: readonly [rows: number, columns: number];
  /** The tensors that it is made of. */
  readonly tensors: readonly string[];
  /**
   * How activations are quantised before the product: as the file says; `suited`: it keeps them, and the format's own
   * suited quantisation is not worse than its rounding; `none`: to be kept.
   */
  readonly activation: PackedActivation | 'suited';
  /** What is wrong with those tensors. */
  readonly problems: readonly string[];
  /** The parts of the format. Only to be called when there are no problems. */
  read(): Promise<readonly PartArray[]>;
}

/** Finds the quantised matrix of a module by its name in the file; null where the module is stored dense. */
export type FindQuantized = (base: string, shape: readonly [number, number]) => QuantizedMatrix | null;

/** What decides whether a layout can hold a matrix. */
export interface PackedShape {
  readonly format: string;
  readonly shape: readonly [rows: number, columns: number];
  readonly activation: PackedActivation;
  /** Names of its modules in the file: one, or an embedding and the head that is tied to it. */
  readonly modules: readonly [string, ...string[]];
  readonly isEmbedding: boolean;
}

/** A packed matrix to be stored. */
export interface PackedMatrix extends PackedShape {
  /** The format's parts. */
  readonly parts: readonly MatrixPart[];
}

/** A part of known size. */
export interface MatrixPart extends PartInfo {
  bytes(): Promise<Uint8Array>;
}

/** A way of storing quantised matrices: one file here for each. */
export interface QuantizedLayout {
  /** @throws CheckpointFormatError for settings of `quantization_config` that are not read here, naming them */
  open(settings: Settings, source: TensorSource): FindQuantized;
}

/** A layout that is written too. */
export interface WritableLayout {
  /** Why a matrix cannot be stored so, in words that follow its name; null when it can. */
  refusal(matrix: PackedShape): string | null;
  /** Why matrices, none of them refused, cannot stand in one checkpoint. */
  together?(matrices: readonly PackedShape[]): string | null;
  /** Only for matrices that are not refused. */
  tensors(matrix: PackedMatrix): TensorInput[];
  /** `quantization_config`; `dense` names the linear layers that stay dense, `denseTensors` all tensors that do. */
  settings(
    matrices: readonly PackedMatrix[],
    dense: readonly string[],
    denseTensors: readonly string[],
  ): Settings;
  /** Files beside the weights that tools of this layout look for. */
  files?(settings: Settings): Readonly<Record<string, string>>;
}

/** `quantization_config` of config.json, or a part of it. */
export type Settings = { readonly [key: string]: unknown };

/** The tensors of one module: looks them up, checks them, and remembers all that is wrong. */
export class ModuleTensors {
  readonly names: string[] = [];
  readonly problems: string[] = [];

  constructor(
    private readonly source: TensorSource,
    private readonly base: string,
  ) {}

  has(suffix: string): boolean {
    return this.source.entries.has(`${this.base}.${suffix}`);
  }

  /** The entry of a tensor that may have one of several dtypes and must have this shape (-1: any size). */
  expect(suffix: string, dtypes: readonly DType[], shape: readonly number[]): TensorEntry | undefined {
    const name = `${this.base}.${suffix}`;
    const entry = this.source.entries.get(name);
    const wanted = `${dtypes.join(' or ')} [${shape.map((size) => (size < 0 ? 'any' : size)).join(', ')}]`;
    if (!entry) {
      this.problems.push(`missing ${name} ${wanted}`);
      return undefined;
    }
    this.names.push(name);
    const fits =
      dtypes.includes(entry.dtype) &&
      entry.shape.length === shape.length &&
      shape.every((size, i) => size < 0 || size === entry.shape[i]);
    if (fits) return entry;
    this.problems.push(`${name} is ${entry.dtype} [${entry.shape.join(', ')}], its format says ${wanted}`);
    return undefined;
  }

  /** A tensor that may be left out, of any shape and dtype. */
  optional(suffix: string): TensorEntry | undefined {
    const entry = this.source.entries.get(`${this.base}.${suffix}`);
    if (entry) this.names.push(entry.name);
    return entry;
  }

  refuse(problem: string): void {
    this.problems.push(`${this.base}: ${problem}`);
  }

  bytes(suffix: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.source.read(`${this.base}.${suffix}`);
  }
  async words(suffix: string): Promise<Uint32Array> {
    return typedArrayOf(await this.bytes(suffix), 'U32');
  }
  async integers(suffix: string): Promise<Int32Array> {
    const entry = this.source.entries.get(`${this.base}.${suffix}`);
    const bytes = await this.bytes(suffix);
    return entry?.dtype === 'I64'
      ? Int32Array.from(typedArrayOf(bytes, 'I64'), Number)
      : typedArrayOf(bytes, 'I32');
  }
  async floats(suffix: string): Promise<Float32Array> {
    const entry = this.source.entries.get(`${this.base}.${suffix}`) as TensorEntry;
    return toFloat32(await this.bytes(suffix), entry.dtype);
  }
}

export const FLOATS: readonly DType[] = ['F16', 'BF16', 'F32'];

/** In the order of their first members. */
export function groupedBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return [...groups.values()];
}

/** A tensor whose values are made when it is written. */
export function stored(
  name: string,
  dtype: PlainDType,
  shape: readonly number[],
  read: () => Promise<ArrayBufferView>,
): TensorInput {
  return { name, dtype, shape, bytes: async () => bytesOf(await read()) };
}

export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** How parts are called in safetensors. */
export const partDTypes = {
  f32: 'F32',
  bf16: 'BF16',
  f16: 'F16',
  i8: 'I8',
  u8: 'U8',
  i32: 'I32',
} as const satisfies Record<PartDType, PlainDType>;

export async function valuesOf({ bytes, dtype }: MatrixPart): Promise<PartArray> {
  return typedArrayOf(await bytes(), partDTypes[dtype]);
}
