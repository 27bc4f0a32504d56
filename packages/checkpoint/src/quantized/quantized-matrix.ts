import type { PartArray } from '@frugal/tensor-core/formats';
import type { DType } from '../dtypes.js';
import { toFloat32, typedArrayOf } from '../numeric/convert.js';
import type { TensorEntry, TensorSource } from '../tensor-source.js';

/** A matrix that a checkpoint holds quantised, as a packed format of `@frugal/tensor-core/formats`. */
export interface QuantizedMatrix {
  readonly format: string;
  readonly shape: readonly [rows: number, columns: number];
  /** The tensors that it is made of. */
  readonly tensors: readonly string[];
  /**
   * How activations are quantised before the product: as the file says; `suited`: it keeps them, and the format's own
   * suited quantisation is not worse than its rounding; null: to be kept.
   */
  readonly activation: 'int8' | 'suited' | null;
  /** What is wrong with those tensors. */
  readonly problems: readonly string[];
  /** The parts of the format. Only to be called when there are no problems. */
  read(): Promise<readonly PartArray[]>;
}

/** Finds the quantised matrix of a module by its name in the file; null where the module is stored dense. */
export type FindQuantized = (base: string, shape: readonly [number, number]) => QuantizedMatrix | null;

/** A way of storing quantised matrices: one file here for each. */
export interface QuantizedLayout {
  /** @throws CheckpointFormatError for settings of `quantization_config` that are not read here, naming them */
  open(settings: Settings, source: TensorSource): FindQuantized;
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
