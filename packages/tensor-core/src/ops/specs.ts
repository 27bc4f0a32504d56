import type { DType, FloatDType } from '../dtype.js';
import type { PackedActivation } from '../formats/index.js';
import type { Shape } from '../shape.js';

/** Ops without attributes. */
export type None = Record<never, never>;

export interface AxesAttributes {
  /** Sorted, non-negative, distinct. */
  readonly axes: readonly number[];
  /** Keep reduced axes with size 1. */
  readonly keepDims: boolean;
}

/** Gate activations of a gated MLP: `activation(gate) * up`. */
export type GateActivation = 'silu' | 'gelu' | 'gelu-tanh' | 'relu';

export interface AttentionAttributes {
  /** Multiplies q·k before the softmax, usually D^-0.5. */
  readonly scale: number;
  /** Each query sees only keys at its own and earlier positions of its sequence. */
  readonly causal: boolean;
  /** Each query sees only the last `window` keys, its own included (and, if not causal, the next `window - 1`). */
  readonly window?: number | undefined;
  /** Scores become softCap · tanh(score / softCap) (Gemma 2). */
  readonly softCap?: number | undefined;
}

/** What follows the product of a linear layer, and which inputs there are for it, in this order after x and weight. */
export interface LinearAttributes {
  /** The weight rounded to the dtype of x: the product takes that one, the gradient still belongs to the weight. */
  readonly copy?: boolean | undefined;
  /** [N] of any floating dtype, added in f32. */
  readonly bias?: boolean | undefined;
  /** Of the shape and dtype of the result. */
  readonly residual?: boolean | undefined;
  readonly activation?: GateActivation | undefined;
  /** Multiplies what the activation gives, before the residual is added; default 1. */
  readonly scale?: number | undefined;
}

export interface PackedAttributes {
  /** Name of a packed format, see `@frugal/tensor-core/formats`. */
  readonly format: string;
  /** Logical shape of the packed matrix: [outFeatures, inFeatures]. */
  readonly rows: number;
  readonly columns: number;
  /** The backend's own physical layout, see `Backend.packedLayout`; left out: the parts of the format. */
  readonly layout?: string | undefined;
}

/**
 * The table of contents: every op with its attributes. One file per family in `src/ops` says how shapes are
 * inferred, how gradients flow and how fused ops decompose; the file of the same name in `src/reference` defines
 * the values.
 */
export interface OpSpecs {
  // creation
  fill: { readonly shape: Shape; readonly dtype: DType; readonly value: number };
  arange: {
    readonly start: number;
    readonly step: number;
    readonly count: number;
    readonly dtype: 'f32' | 'i32';
  };
  randomUniform: RandomAttributes;
  randomNormal: RandomAttributes;

  // unary, elementwise
  neg: None;
  abs: None;
  sign: None;
  exp: None;
  log: None;
  sqrt: None;
  rsqrt: None;
  sin: None;
  cos: None;
  tanh: None;
  sigmoid: None;
  erf: None;
  floor: None;
  isFinite: None;
  logicalNot: None;
  cast: { readonly dtype: DType };

  // binary, elementwise with broadcasting
  add: None;
  sub: None;
  mul: None;
  div: None;
  pow: None;
  maximum: None;
  minimum: None;
  equal: None;
  less: None;
  lessEqual: None;
  where: None;

  // reduce
  sum: AxesAttributes;
  max: AxesAttributes;
  argMax: { readonly axis: number };
  cumulativeSum: { readonly axis: number };
  sumOfSquares: None;

  // movement: the first four are views
  reshape: { readonly shape: Shape };
  permute: { readonly axes: readonly number[] };
  slice: { readonly starts: readonly number[]; readonly sizes: readonly number[] };
  expand: { readonly shape: Shape };
  copy: None;
  concat: { readonly axis: number };
  pad: { readonly before: readonly number[]; readonly after: readonly number[]; readonly value: number };

  // indexing
  gatherRows: None;
  scatterAddRows: { readonly rows: number };
  takeAlongAxis: { readonly axis: number };
  scatterAddAlongAxis: { readonly axis: number; readonly size: number };
  topK: { readonly k: number };
  sort: { readonly descending: boolean };

  // mutation
  assign: None;
  writeRows: None;
  writeQuantizedRows: None;

  // matmul
  matmul: {
    /** Dtype of the result, when it shall not be that of the operands. */
    readonly output?: FloatDType | undefined;
  };
  integerMatmul: None;

  // linalg
  cholesky: None;
  triangularSolve: { readonly transpose: boolean };

  // fused: optional for a backend
  linear: LinearAttributes;
  int8Linear: LinearAttributes;
  quantizeInt8: {
    /** What shares a scale: `rows` for products that sum over columns. */
    readonly axis: 'rows' | 'columns';
  };
  int8Matmul: { readonly output: FloatDType };
  softmax: None;
  softmaxBackward: None;
  logSoftmax: None;
  softmaxTopK: { readonly k: number };
  silu: None;
  gelu: { readonly approximate: 'none' | 'tanh' };
  swiglu: { readonly activation: GateActivation };
  swigluBackward: { readonly activation: GateActivation };
  rmsNorm: { readonly epsilon: number };
  rmsNormBackward: { readonly epsilon: number };
  addRmsNorm: { readonly epsilon: number };
  addRmsNormBackward: { readonly epsilon: number };
  layerNorm: { readonly epsilon: number };
  layerNormBackward: { readonly epsilon: number };
  rope: RopeAttributes;
  attention: AttentionAttributes;
  attentionBackward: AttentionAttributes;
  cachedAttention: AttentionAttributes & { readonly pageSize: number };
  crossEntropy: { readonly ignoreIndex: number };
  crossEntropyBackward: { readonly ignoreIndex: number };
  klDivergence: { readonly temperature: number };
  klDivergenceBackward: { readonly temperature: number };
  adamw: AdamWAttributes;
  adamw8bit: AdamWAttributes;
  sample: None;

  // packed weights and experts
  unpack: PackedAttributes & { readonly rowStart: number; readonly rowCount: number };
  packedMatmul: PackedAttributes & {
    /** Multiply by the weight itself ([N, rows] → [N, columns]) instead of its transpose: input gradients. */
    readonly transpose: boolean;
    /** How the rows of x are quantised before the product; see {@link PackedActivation}. */
    readonly activation: PackedActivation;
  };
  groupedPackedMatmul: PackedAttributes & {
    /** How many matrices there are, all of one shape and format. */
    readonly groups: number;
    readonly activation: PackedActivation;
  };
  packedGather: PackedAttributes;
  packedRepack: PackedAttributes & { readonly layout: string; readonly byteLength: number };
  packedStandard: PackedAttributes & { readonly layout: string };
  groupedMatmul: { readonly transposeWeight: boolean };
  groupedMatmulWeightGradient: { readonly groups: number };
  groupedLowRank: { readonly scale: number; readonly base?: boolean };
}

export type OpName = keyof OpSpecs;

/** Elementwise ops of one tensor without attributes. */
export type UnaryOp = Extract<
  OpName,
  | (
      | 'neg'
      | 'abs'
      | 'sign'
      | 'exp'
      | 'log'
      | 'sqrt'
      | 'rsqrt'
      | 'sin'
      | 'cos'
      | 'tanh'
      | 'sigmoid'
      | 'erf'
      | 'floor'
    )
  | ('isFinite' | 'logicalNot')
>;

/** Elementwise ops of two tensors. */
export type BinaryOp = Extract<
  OpName,
  'add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'equal' | 'less' | 'lessEqual'
>;

/** Ops that only backends with physical layouts of their own have (`Backend.packedLayout`). */
export const layoutOps = ['packedRepack', 'packedStandard'] as const satisfies readonly OpName[];
export type LayoutOp = (typeof layoutOps)[number];

/** Ops that only look at the same storage in another way: no backend has kernels for them. */
export type ViewOp = 'reshape' | 'permute' | 'slice' | 'expand';

export interface RandomAttributes {
  readonly shape: Shape;
  readonly dtype: FloatDType;
  /** Philox4x32-10 key: 64 bits as two unsigned words [low, high]. */
  readonly seed: readonly [number, number];
  /** Index of the first 4-word Philox block used; each block gives four elements. */
  readonly counter: number;
}

export interface RopeAttributes {
  /** false: halves are rotated against each other (Llama); true: neighbours (GPT-J, DeepSeek). */
  readonly interleaved: boolean;
  /** Rotate by the negative angle (the gradient). */
  readonly inverse: boolean;
}

export interface AdamWAttributes {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled: parameter -= learningRate · weightDecay · parameter. */
  readonly weightDecay: number;
  /** 1 for the first update; corrects the bias of the moments. */
  readonly step: number;
  /** Each group has a fifth tensor, a copy of the parameter in another dtype, which gets the rounded new value. */
  readonly copies?: boolean | undefined;
}

/** What every backend must have a kernel for. */
export const primitiveOps = [
  ...(['fill', 'arange', 'randomUniform', 'randomNormal'] as const),
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
  ...(['sum', 'max', 'argMax', 'cumulativeSum'] as const),
  ...(['copy', 'concat', 'pad'] as const),
  ...(['gatherRows', 'scatterAddRows', 'takeAlongAxis', 'scatterAddAlongAxis', 'topK', 'sort'] as const),
  ...(['assign', 'writeRows', 'matmul', 'cholesky', 'triangularSolve', 'unpack'] as const),
] satisfies readonly OpName[];
