import type { Backend } from '../backend.js';
import { dispatch } from '../dispatch.js';
import { bytesPerElement } from '../dtype.js';
import type { OpName } from '../ops/specs.js';
import { withBackend } from '../registry.js';
import { scope } from '../scope.js';
import { sizeOf } from '../shape.js';
import { type ConformanceCase, defineCase, indices, input, packedParts, vector } from './case.js';
import { definitionOf } from './evaluate.js';
import { buildInput } from './generate.js';

export interface SpeedResult {
  readonly op: OpName;
  readonly case: string;
  readonly opsPerSecond: number;
  /** Bytes of all inputs and outputs, per second. */
  readonly gigabytesPerSecond: number;
  /** For matrix products and attention. */
  readonly gigaflops: number | null;
}

const rows = 2048;
const wide = [rows, 256];
const causal = { scale: 0.125, causal: true };
const heads = (count: number) => input([rows, count, 64]);

/** Sizes of a small language model. */
export const speedCases: readonly ConformanceCase[] = [
  defineCase('add', 'activations', [input(wide), input(wide)], {}),
  defineCase('mul', 'by a scalar', [input(wide), input([])], {}),
  defineCase('exp', 'activations', [input(wide)], {}),
  defineCase('cast', 'to bf16', [input(wide)], { dtype: 'bf16' }),
  defineCase('copy', 'transposed', [input([256, rows], { layout: 'transposed' })], {}),
  defineCase('sum', 'rows', [input(wide)], { axes: [1], keepDims: false }),
  defineCase('sum', 'columns', [input(wide)], { axes: [0], keepDims: false }),
  defineCase('gatherRows', 'embedding', [input([4096, 256]), indices([rows], 4096)], {}),
  defineCase('randomNormal', 'weights', [], { shape: wide, dtype: 'f32', seed: [1, 0], counter: 0 }),
  defineCase('matmul', 'decode', [input([1, 1024]), input([1024, 4096], { layout: 'transposed' })], {}),
  defineCase('matmul', 'projection', [input([rows, 256]), input([256, 256], { layout: 'transposed' })], {}),
  defineCase('matmul', 'feed-forward', [input([rows, 256]), input([256, 688], { layout: 'transposed' })], {}),
  defineCase(
    'matmul',
    'weight gradient',
    [input([256, rows], { layout: 'transposed' }), input([rows, 688])],
    {},
  ),
  defineCase(
    'matmul',
    'bf16',
    [input([rows, 256], { dtype: 'bf16' }), input([256, 688], { dtype: 'bf16', layout: 'transposed' })],
    {},
  ),
  defineCase('softmax', 'rows of 256', [input(wide)], {}),
  defineCase('rmsNorm', 'activations', [input(wide), input([256])], { epsilon: 1e-5 }),
  defineCase('rmsNormBackward', 'activations', [input(wide), input(wide), input([256])], { epsilon: 1e-5 }),
  defineCase('rope', 'queries', [heads(8), input([rows, 32]), input([rows, 32])], {
    interleaved: false,
    inverse: false,
  }),
  defineCase('swiglu', 'feed-forward', [input([rows, 688]), input([rows, 688])], { activation: 'silu' }),
  defineCase(
    'attention',
    '8 × 256 tokens',
    [heads(4), heads(2), heads(2), vector(...Array.from({ length: 9 }, (_, i) => i * 256))],
    causal,
  ),
  defineCase('attention', '2048 tokens', [heads(4), heads(2), heads(2), vector(0, rows)], causal),
  defineCase('crossEntropy', 'vocabulary 4096', [input([rows, 4096]), indices([rows], 4096)], {
    ignoreIndex: -100,
  }),
  defineCase('packedMatmul', 'int8 decode', [input([1, 1024]), ...packedParts('int8-channel', 4096, 1024)], {
    ...{ format: 'int8-channel', rows: 4096, columns: 1024, transpose: false, activation: 'int8' },
  }),
];

/** Multiplications and additions of one run; null where they are not what the time goes to. */
function flopsOf({ op, inputs }: ConformanceCase): number | null {
  const [a, b, , d] = inputs;
  if (op === 'matmul') return 2 * sizeOf(a.shape) * b.shape[b.shape.length - 1];
  if (op === 'packedMatmul') return 2 * sizeOf(a.shape) * sizeOf(b.shape.slice(0, 1));
  if (op !== 'attention' || d.values.kind !== 'list') return null;
  const starts = d.values.list;
  const pairs = starts
    .slice(1)
    .reduce((sum, end, i) => sum + ((end - starts[i]) * (end - starts[i] + 1)) / 2, 0);
  return 4 * pairs * a.shape[1] * a.shape[2];
}

/** Runs a case again and again for about `seconds`. */
export async function measureSpeed(
  one: ConformanceCase,
  backend: Backend,
  seconds = 0.3,
): Promise<SpeedResult> {
  const { op, inputs, attributes, name } = one;
  const built = inputs.map((_, index) => buildInput(one, index, backend));
  const views = built.map((made) => made.look());
  const launch = () => scope(() => withBackend(backend, () => void dispatch(op, views, attributes)));
  launch();
  await backend.synchronize();
  const start = performance.now();
  let runs = 0;
  let elapsed = 0;
  for (let batch = 1; elapsed < seconds; batch *= 2) {
    for (let i = 0; i < batch; i++) launch();
    await backend.synchronize();
    runs += batch;
    elapsed = (performance.now() - start) / 1000;
  }
  for (const tensor of [...views, ...built.map(({ stored }) => stored)]) tensor.dispose();
  const tensors = [...inputs, ...definitionOf(op).infer(inputs, attributes)];
  const bytes = tensors.reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * bytesPerElement(dtype), 0);
  const flops = flopsOf(one);
  const opsPerSecond = runs / elapsed;
  return {
    op,
    case: name,
    opsPerSecond,
    gigabytesPerSecond: (bytes * opsPerSecond) / 1e9,
    gigaflops: flops && (flops * opsPerSecond) / 1e9,
  };
}
