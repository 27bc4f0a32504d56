import {
  type Backend,
  dispatch,
  type FloatDType,
  fromBytes,
  type OpName,
  type OpSpecs,
  Random,
  referenceBackend,
  scope,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { packedFormat } from '@frugal/tensor-core/formats';

/** One op on numbers that are the same on every backend. */
export interface Check<N extends OpName = OpName> {
  readonly op: N;
  readonly name: string;
  readonly attributes: OpSpecs[N];
  readonly inputs: (backend: Backend) => Tensor[];
  /** Kernels of CANN that must run, the newest version of each first. */
  readonly kernels: readonly (readonly string[])[];
  /** |difference| ≤ tolerance · largest. */
  readonly tolerance: number;
}

function normal(seed: number, shape: number[], backend: Backend, dtype: FloatDType = 'f32'): Tensor {
  return new Random(seed).normal(shape, { backend }).cast(dtype);
}

function vector(backend: Backend, ...numbers: number[]): Tensor {
  return tensor(Int32Array.from(numbers), { backend });
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A packed matrix of random numbers: its parts. */
function packed(format: string, rows: number, columns: number, backend: Backend): Tensor[] {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 1.7) + 0.3);
  const layout = packedFormat(format);
  const infos = layout.parts(rows, columns);
  return layout
    .pack(values, rows, columns)
    .map((part, i) => fromBytes(bytesOf(part), { shape: infos[i].shape, dtype: infos[i].dtype, backend }));
}

function packedCheck(
  format: string,
  activation: 'none' | 'int8',
  dtype: FloatDType,
  kernels: readonly (readonly string[])[],
): Check<'packedMatmul'> {
  const [rows, columns] = [10, 96];
  return {
    op: 'packedMatmul',
    name: `${format}, ${activation}, ${dtype}`,
    attributes: { format, rows, columns, transpose: false, activation },
    inputs: (backend) => [
      normal(1, [2, 3, columns], backend, dtype),
      ...packed(format, rows, columns, backend),
    ],
    kernels,
    tolerance: dtype === 'f32' ? 1e-6 : dtype === 'f16' ? 2e-3 : 1.2e-2,
  };
}

const heads = { scale: 0.25, causal: true } as const;
const starts = (backend: Backend) => vector(backend, 0, 3, 3, 8);
const triple = (backend: Backend) => [4, 2, 2].map((H, i) => normal(i, [8, H, 16], backend));
const quantMatmul = ['QuantMatmulV5', 'QuantMatmulV4'];
const weightMatmul = ['WeightQuantBatchMatmulV3', 'WeightQuantBatchMatmulV2'];
const groupedMatmul = ['GroupedMatmulV5', 'GroupedMatmulV4'];

/** Pages of 16 rows, given out from the back; every sequence asks for its next token. */
function cache(backend: Backend): Tensor[] {
  return [
    normal(1, [3, 4, 32], backend, 'bf16'),
    ...[2, 3].map((seed) => normal(seed, [96, 2, 32], backend, 'bf16')),
    vector(backend, 0, 1, 2, 3),
    vector(backend, 5, 4, 3, 0, 2, 1).reshape(3, 2),
    vector(backend, 17, 1, 32),
  ];
}

export const checks: readonly Check[] = [
  {
    op: 'rmsNormBackward',
    name: 'rows',
    attributes: { epsilon: 1e-5 },
    inputs: (backend) => [
      normal(1, [3, 5, 8], backend),
      normal(2, [3, 5, 8], backend),
      normal(3, [8], backend),
    ],
    kernels: [['RmsNorm'], ['RmsNormGrad']],
    tolerance: 1e-5,
  },
  {
    op: 'addRmsNorm',
    name: 'rows',
    attributes: { epsilon: 1e-5 },
    inputs: (backend) => [normal(1, [5, 8], backend), normal(2, [5, 8], backend), normal(3, [8], backend)],
    kernels: [['AddRmsNorm']],
    tolerance: 1e-5,
  },
  {
    op: 'rope',
    name: 'a part of the head, backwards',
    attributes: { interleaved: true, inverse: true },
    inputs: (backend) => [
      normal(1, [5, 3, 10], backend, 'bf16'),
      ...[2, 3].map((seed) => normal(seed, [5, 4], backend)),
    ],
    kernels: [['RotaryPositionEmbedding']],
    tolerance: 1e-2,
  },
  {
    op: 'swiglu',
    name: 'halves of one product',
    attributes: { activation: 'silu' },
    inputs: (backend) => {
      const both = normal(1, [5, 12], backend);
      return [both.slice(1, 0, 6), both.slice(1, 6, 12)];
    },
    kernels: [['SwiGlu']],
    tolerance: 1e-6,
  },
  {
    op: 'swigluBackward',
    name: 'silu',
    attributes: { activation: 'silu' },
    inputs: (backend) => [1, 2, 3].map((seed) => normal(seed, [5, 6], backend)),
    kernels: [['SiluBackward']],
    tolerance: 1e-6,
  },
  {
    op: 'attention',
    name: 'packed sequences, a window',
    attributes: { ...heads, window: 2 },
    inputs: (backend) => [...triple(backend), starts(backend)],
    kernels: [['FlashAttentionScore']],
    tolerance: 1e-5,
  },
  {
    op: 'attentionBackward',
    name: 'packed sequences',
    attributes: heads,
    inputs: (backend) => {
      const inputs = [...triple(backend), starts(backend)];
      return [normal(9, [8, 4, 16], backend), ...inputs, ...dispatch('attention', inputs, heads)];
    },
    kernels: [['FlashAttentionScoreGrad']],
    tolerance: 1e-5,
  },
  {
    op: 'cachedAttention',
    name: 'one query each',
    attributes: { ...heads, pageSize: 16 },
    inputs: cache,
    kernels: [['IncreFlashAttentionV4', 'IncreFlashAttentionV3']],
    tolerance: 1e-2,
  },
  {
    op: 'groupedMatmul',
    name: 'rows outside all groups',
    attributes: { transposeWeight: true },
    inputs: (backend) => [
      normal(1, [9, 5], backend),
      normal(2, [3, 6, 5], backend),
      vector(backend, 1, 3, 3, 8),
    ],
    kernels: [groupedMatmul],
    tolerance: 1e-5,
  },
  {
    op: 'groupedMatmulWeightGradient',
    name: 'rows outside all groups',
    attributes: { groups: 3 },
    inputs: (backend) => [
      normal(1, [9, 5], backend),
      normal(2, [9, 6], backend),
      vector(backend, 1, 3, 3, 8),
    ],
    kernels: [groupedMatmul],
    tolerance: 1e-5,
  },
  {
    op: 'softmaxTopK',
    name: 'experts, some of which are equal',
    attributes: { k: 3 },
    inputs: (backend) => [normal(1, [9, 6], backend).floor()],
    kernels: [['MoeGatingTopKSoftmaxV2']],
    tolerance: 1e-6,
  },
  packedCheck('int8-channel', 'int8', 'f32', [['Round'], quantMatmul]),
  packedCheck('int8-channel', 'int8', 'f16', [['DynamicQuant'], quantMatmul]),
  packedCheck('int8-channel', 'int8', 'bf16', [['DynamicQuant'], quantMatmul]),
  packedCheck('int8-channel', 'none', 'f16', [weightMatmul]),
  packedCheck('int4-g32', 'none', 'f16', [weightMatmul]),
  packedCheck('int4-g64-zero', 'none', 'bf16', [weightMatmul]),
  packedCheck('int4-g128-zero', 'none', 'f16', [weightMatmul]),
  {
    op: 'adamw',
    name: 'with copies',
    attributes: {
      learningRate: 0.01,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0.1,
      step: 3,
      copies: true,
    },
    inputs: (backend) => [
      normal(1, [3, 4], backend),
      normal(2, [3, 4], backend),
      normal(3, [3, 4], backend).mul(0.01).abs(),
      normal(4, [3, 4], backend, 'bf16'),
      normal(5, [3, 4], backend, 'bf16'),
      ...[0.5, 1].map((number) => tensor([number], { backend }).reshape()),
    ],
    kernels: [['ApplyAdamWV2']],
    tolerance: 1e-5,
  },
];

async function run({ op, attributes, inputs }: Check, backend: Backend): Promise<Float32Array[]> {
  const tensors = scope(() => {
    const given = inputs(backend);
    const results = dispatch(op, given, attributes);
    // An op without results has changed its inputs.
    return results.length > 0 ? [...results] : given;
  });
  const numbers: Float32Array[] = [];
  for (const one of tensors) numbers.push(await one.toFloat32());
  for (const one of tensors) one.dispose();
  return numbers;
}

/** How far the results lie from those of the reference, in units of the largest number of each. */
export async function distance(check: Check, backend: Backend): Promise<number> {
  const [found, expected] = [await run(check, backend), await run(check, referenceBackend())];
  const distances = expected.map((numbers, i) => {
    const largest = numbers.reduce((most, n) => Math.max(most, Math.abs(n)), 1e-30);
    return numbers.reduce((most, n, j) => Math.max(most, Math.abs(n - found[i][j])), 0) / largest;
  });
  return Math.max(...distances);
}
