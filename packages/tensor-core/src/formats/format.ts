/** Element types of the parts of a packed matrix. */
export type PartDType = 'f32' | 'bf16' | 'f16' | 'i8' | 'u8' | 'i32';

export interface PartInfo {
  /** Short name, also the suffix in checkpoints: `codes`, `scales`, `blocks`. */
  readonly name: string;
  readonly dtype: PartDType;
  readonly shape: readonly number[];
}

/** bf16 and f16 parts are held as their 16 bits. */
export type PartArray = Float32Array | Uint16Array | Int8Array | Uint8Array | Int32Array;

/**
 * A layout of quantised or sparse matrices [rows, columns], as data and two pure functions over plain arrays.
 * Rows are independent of each other, so any range of rows can be packed or unpacked on its own.
 */
export interface PackedFormat {
  readonly name: string;
  /** The arrays that hold a matrix of this size. @throws ArgumentError when the format cannot hold it */
  parts(rows: number, columns: number): readonly PartInfo[];
  /** Quantises f32 values, row-major, by round-to-nearest. */
  pack(values: Float32Array, rows: number, columns: number): readonly PartArray[];
  /** Rows rowStart … rowStart + rowCount - 1 as f32, row-major, into `out`. */
  unpack(parts: readonly PartArray[], range: UnpackRange, out: Float32Array): void;
}

export interface UnpackRange {
  readonly rows: number;
  readonly columns: number;
  readonly rowStart: number;
  readonly rowCount: number;
}
