/** Element types of the parts of a packed matrix. */
export type PartDType = 'f32' | 'bf16' | 'f16' | 'i8' | 'u8' | 'i32';

/** A size that depends on the values, for example how many of them are not zero. */
export const anyLength = -1;

export interface PartInfo {
  /** Short name, also the suffix in checkpoints: `codes`, `scales`, `blocks`. */
  readonly name: string;
  readonly dtype: PartDType;
  /** Sizes may be {@link anyLength}. */
  readonly shape: readonly number[];
}

/** bf16 and f16 parts are held as their 16 bits. */
export type PartArray = Float32Array | Uint16Array | Int8Array | Uint8Array | Int32Array;

/**
 * How the rows of x are quantised before a product with a packed matrix. `none`: they stay f32. `int8`: one scale per
 * row. `int8-block32`: one scale for every 32 columns, in the order in which the format stores columns, counted from
 * the first. A scale is absmax / 127 in f32; codes are x / scale, rounded to nearest even, in -127..127.
 */
export type PackedActivation = 'none' | 'int8' | 'int8-block32';

export interface PackOptions {
  /**
   * f32 [columns], not negative: how much the squared error of a column counts, such as the mean squared activation
   * that meets it (an importance matrix). Only proportions matter.
   */
  readonly importance?: Float32Array | undefined;
}

/**
 * A layout of quantised or sparse matrices [rows, columns], as data and two pure functions over plain arrays.
 * Any range of rows can be unpacked on its own.
 */
export interface PackedFormat {
  readonly name: string;
  /** The activation quantisation that loses nothing worth speaking of beside the weight's own rounding. */
  readonly activation: PackedActivation;
  /** The arrays that hold a matrix of this size. @throws ArgumentError when the format cannot hold it */
  parts(rows: number, columns: number): readonly PartInfo[];
  /** Quantises f32 values, row-major; each value becomes the nearest one that the format has at the chosen scale. */
  pack(values: Float32Array, rows: number, columns: number, options?: PackOptions): readonly PartArray[];
  /** Whether every row is packed without regard to others, and every part has the rows as its first axis. */
  readonly rowByRow?: boolean | undefined;
  /** Whether scales can be chosen for the columns that matter; other formats take no notice of the importance. */
  readonly weighsColumns?: boolean | undefined;
  /** Rows rowStart … rowStart + rowCount - 1 as f32, row-major, into `out`. */
  unpack(parts: readonly PartArray[], range: UnpackRange, out: Float32Array): void;
  /** Which part holds the matrix column of each stored column (i32), for formats that store columns in an order of their own. */
  readonly orderPart?: number | undefined;
  /** The format that the parts have, when they hold the matrix with its columns turned; kernels know that one alone. */
  readonly turned?: string | undefined;
}

export interface UnpackRange {
  readonly rows: number;
  readonly columns: number;
  readonly rowStart: number;
  readonly rowCount: number;
}
