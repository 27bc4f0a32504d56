import { type DType, isFloating } from '../dtype.js';
import { anyLength, packedFormat } from '../formats/index.js';
import type { OpName, OpSpecs } from '../ops/specs.js';
import type { Shape } from '../shape.js';
import { packedMatrix } from './packed-matrix.js';
import type { ToleranceClass } from './tolerance.js';

/** What numbers an input holds; all are drawn from a seed that the case's name gives. */
export type ValueRange =
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  /** low … high - 1. */
  | { readonly kind: 'integers'; readonly low: number; readonly high: number }
  /** Shuffled multiples of 0.1: far enough from each other and from 0 for finite differences of sort and abs. */
  | { readonly kind: 'distinct' }
  /** The list, repeated as often as needed. */
  | { readonly kind: 'list'; readonly list: readonly number[] }
  /** Elements as they lie in memory. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** Part `part` of a packed matrix of random numbers. */
  | {
      readonly kind: 'packed';
      readonly format: string;
      readonly rows: number;
      readonly columns: number;
      readonly part: number;
    }
  /** Output `output` of another op on some of the other inputs: what a backward op gets from its forward op. */
  | {
      readonly kind: 'forward';
      readonly op: OpName;
      readonly inputs: readonly number[];
      readonly output: number;
    };

/**
 * How an input lies in memory: row-major, with its last two axes swapped, cut out of a larger tensor, cut out
 * along axis 0 only (row-major, but not at the start), or one slice of axis 0 repeated.
 */
export type Layout = 'plain' | 'transposed' | 'sliced' | 'offset' | 'expanded';

export interface InputSpec {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: ValueRange;
  readonly layout: Layout;
  /** No gradient is asked for. */
  readonly constant: boolean;
}

/** One op on one set of inputs: pure data, the same on every machine. */
export interface ConformanceCase<N extends OpName = OpName> {
  readonly op: N;
  /** Unique: `op: what is special`. */
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly attributes: OpSpecs[N];
  /** How close values must be; by default that of the op, see tolerance.ts. */
  readonly tolerance?: ToleranceClass;
  /**
   * Whether gradients are compared with the reference; default: unless inputs hold listed numbers. 'differences'
   * also checks them by finite differences.
   */
  readonly gradients?: boolean | 'differences';
  /** Left out of the `decomposed` mode, where a decomposition is not as general as the kernel. */
  readonly decomposed?: false;
}

export interface InputOptions {
  readonly dtype?: DType;
  readonly values?: ValueRange;
  readonly layout?: Layout;
  readonly constant?: boolean;
}

export function input(shape: Shape, options: InputOptions = {}): InputSpec {
  const { dtype = 'f32', layout = 'plain' } = options;
  const values = options.values ?? (isFloating(dtype) ? uniform(-2, 2) : defaultIntegers(dtype));
  return { shape, dtype, values, layout, constant: options.constant ?? !isFloating(dtype) };
}

function defaultIntegers(dtype: DType): ValueRange {
  if (dtype === 'bool') return integers(0, 2);
  return dtype === 'u8' ? integers(0, 256) : integers(-100, 100);
}

export function uniform(low: number, high: number): ValueRange {
  return { kind: 'uniform', low, high };
}

export function integers(low: number, high: number): ValueRange {
  return { kind: 'integers', low, high };
}

export const distinct: ValueRange = { kind: 'distinct' };

export function list(...values: number[]): ValueRange {
  return { kind: 'list', list: values };
}

/** i32 indices 0 … limit - 1. */
export function indices(shape: Shape, limit: number, layout: Layout = 'plain'): InputSpec {
  return input(shape, { dtype: 'i32', values: integers(0, limit), layout });
}

/** What `op` saved for its gradient; see {@link ValueRange}. */
export function saved(op: OpName, inputs: readonly number[], output: number, spec: InputSpec): InputSpec {
  return { ...spec, values: { kind: 'forward', op, inputs, output } };
}

/** An i32 vector of given numbers: sequence starts, offsets, lengths. */
export function vector(...values: number[]): InputSpec {
  return input([values.length], { dtype: 'i32', values: list(...values) });
}

/** The parts of a packed matrix [rows, columns] of random values. */
export function packedParts(format: string, rows: number, columns: number): InputSpec[] {
  const infos = packedFormat(format).parts(rows, columns);
  // Sizes that depend on the values are those of the matrix itself.
  const arrays = infos.some(({ shape }) => shape.includes(anyLength))
    ? packedMatrix(format, rows, columns)
    : null;
  return infos.map(({ dtype, shape }, part) => ({
    shape: shape.map((size) => (arrays && size === anyLength ? arrays[part].length : size)),
    dtype,
    values: { kind: 'packed', format, rows, columns, part },
    layout: 'plain',
    constant: true,
  }));
}

export function defineCase<N extends OpName>(
  op: N,
  name: string,
  inputs: readonly InputSpec[],
  attributes: OpSpecs[N],
  options: Pick<ConformanceCase, 'tolerance' | 'gradients' | 'decomposed'> = {},
): ConformanceCase {
  return { op, name: `${op}: ${name}`, inputs, attributes, ...options };
}

/** Whether some input that wants a gradient holds listed numbers: NaN, infinities, ties. */
export function hasEdgeValues({ inputs }: ConformanceCase): boolean {
  return inputs.some(({ values, constant }) => !constant && values.kind === 'list');
}
