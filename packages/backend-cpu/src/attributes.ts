import type { AttentionAttributes, GateActivation, OpName, OpSpecs } from '@frugal/tensor-core';

/** How an op's attributes reach its kernel: as numbers, in the order that the kernel's file in native/kernels names. */
type Encoder<N extends OpName> = (attributes: OpSpecs[N]) => readonly number[];

const nothing: readonly number[] = [];
const none = () => nothing;
const flag = (value: boolean) => (value ? 1 : 0);

const activations: readonly GateActivation[] = ['silu', 'gelu', 'gelu-tanh', 'relu'];
const gate = ({ activation }: OpSpecs['swiglu']) => [activations.indexOf(activation)];
const axes = ({ axes }: OpSpecs['sum']) => [axes.length, ...axes];
const axis = ({ axis }: { readonly axis: number }) => [axis];
const random = ({ seed, counter }: OpSpecs['randomUniform']) => [seed[0], seed[1], counter];
const norm = ({ epsilon }: OpSpecs['rmsNorm']) => [epsilon];
const target = ({ ignoreIndex }: OpSpecs['crossEntropy']) => [ignoreIndex];
const temperature = ({ temperature }: OpSpecs['klDivergence']) => [temperature];

function attention({
  scale,
  causal,
  window,
  softCap,
  pageSize,
}: AttentionAttributes & { readonly pageSize?: number }): number[] {
  return [scale, flag(causal), window ?? 0, softCap ?? 0, pageSize ?? 1];
}

/** `tensors`: of a group without copy. */
function adamw(attributes: OpSpecs['adamw'], tensors: number): number[] {
  const { learningRate, beta1, beta2, epsilon, weightDecay, step, copies } = attributes;
  return [learningRate, beta1, beta2, epsilon, weightDecay, step, copies ? tensors + 1 : tensors];
}

/** Every op that the addon runs under its own name, with its attributes. */
export const attributeEncoders = {
  fill: ({ value }) => [value],
  arange: ({ start, step }) => [start, step],
  randomUniform: random,
  randomNormal: random,

  ...{
    neg: none,
    abs: none,
    sign: none,
    exp: none,
    log: none,
    sqrt: none,
    rsqrt: none,
    sin: none,
    cos: none,
  },
  ...{ tanh: none, sigmoid: none, erf: none, floor: none, isFinite: none, logicalNot: none, cast: none },
  ...{ add: none, sub: none, mul: none, div: none, pow: none, maximum: none, minimum: none },
  ...{ equal: none, less: none, lessEqual: none, where: none },

  sum: axes,
  max: axes,
  argMax: axis,
  cumulativeSum: axis,

  copy: none,
  pad: ({ before, value }) => [value, ...before],
  assign: none,

  gatherRows: none,
  writeRows: none,
  writeQuantizedRows: none,
  scatterAddRows: none,
  takeAlongAxis: axis,
  scatterAddAlongAxis: axis,
  topK: ({ k }) => [k],
  sort: ({ descending }) => [flag(descending)],

  matmul: none,
  integerMatmul: none,
  groupedMatmul: ({ transposeWeight }) => [flag(transposeWeight)],
  groupedMatmulWeightGradient: none,
  groupedLowRank: ({ scale, base }) => [scale, flag(base === true)],
  cholesky: none,
  triangularSolve: ({ transpose }) => [flag(transpose)],

  linear: ({ copy = false, bias = false, residual = false, activation, scale = 1 }) => [
    ...[copy, bias, residual].map(flag),
    activation ? activations.indexOf(activation) : -1,
    scale,
  ],
  int8Matmul: none,
  quantizeInt8: ({ axis }) => [flag(axis === 'columns')],

  sample: none,
  softmax: none,
  softmaxBackward: none,
  logSoftmax: none,
  silu: none,
  gelu: ({ approximate }) => [flag(approximate === 'tanh')],
  swiglu: gate,
  swigluBackward: gate,
  rmsNorm: norm,
  rmsNormBackward: norm,
  addRmsNorm: norm,
  addRmsNormBackward: norm,
  layerNorm: norm,
  layerNormBackward: norm,
  rope: ({ interleaved, inverse }) => [flag(interleaved), flag(inverse)],
  attention,
  attentionBackward: attention,
  cachedAttention: attention,
  crossEntropy: target,
  crossEntropyBackward: target,
  klDivergence: temperature,
  klDivergenceBackward: temperature,
  adamw: (attributes) => adamw(attributes, 4),
  adamw8bit: (attributes) => adamw(attributes, 6),
} satisfies { readonly [N in OpName]?: Encoder<N> };
