import type { TensorInfo } from '../backend.js';
import { arange, fill } from '../creation.js';
import { dispatch } from '../dispatch.js';
import { ArgumentError, ShapeError } from '../errors.js';
import { enableGrad, takeGrad } from '../tape.js';
import type { Tensor } from '../tensor.js';
import {
  describe,
  requireDType,
  requireFloat,
  requireRank,
  requireSameDType,
  requireShape,
} from './checks.js';
import { defineOps } from './definition.js';
import { where } from './functions.js';
import type { AttentionAttributes } from './specs.js';

function requireHeads(op: string, [q, k, v]: readonly TensorInfo[], attributes: AttentionAttributes): void {
  const inputs = [q, k, v];
  for (const [i, name] of ['queries', 'keys', 'values'].entries()) requireRank(op, name, inputs[i], 3);
  requireShape(op, 'values', v, [k.shape[0], k.shape[1], -1], inputs);
  requireShape(op, 'keys', k, [-1, -1, q.shape[2]], inputs);
  if (q.shape[1] % k.shape[1] !== 0) {
    throw new ShapeError({
      where: op,
      what: 'query heads must be a multiple of key heads',
      got: describe(inputs),
    });
  }
  const { window } = attributes;
  if (window !== undefined && !(Number.isInteger(window) && window > 0)) {
    throw new ArgumentError({
      where: op,
      what: 'window out of range',
      got: String(window),
      expected: 'a positive integer',
    });
  }
}

/** Keys and values of a cache: both of one floating dtype, or i8 codes with a scale per vector. */
function requireCached(inputs: readonly TensorInfo[]): void {
  const [, keys, values, , , , ...scales] = inputs;
  requireSameDType('cachedAttention', [keys, values]);
  if (keys.dtype !== 'i8') {
    requireFloat('cachedAttention', [keys]);
    if (scales.length === 0) return;
  } else if (scales.length === 2) {
    for (const [i, name] of ['keyScales', 'valueScales'].entries()) {
      requireDType('cachedAttention', name, scales[i], 'f32');
      requireShape('cachedAttention', name, scales[i], keys.shape.slice(0, 2), inputs);
    }
    return;
  }
  throw new ArgumentError({
    where: 'cachedAttention',
    what: 'i8 keys and values need two scales, others none',
    got: `${describe([keys, values])} with ${scales.length} scales`,
  });
}

/** Which sequence each row belongs to: the number of starts at or before it, minus one. i32 [N] */
function sequenceOfRow(starts: Tensor, rows: number): Tensor {
  const first = starts.slice(0, 0, starts.shape[0] - 1).reshape(1, -1);
  const row = arange(rows, { backend: starts.backend }).reshape(-1, 1);
  return first.lessEqual(row).sum(1).sub(1);
}

/** Allowed pairs of a query at position p and a key at position j. bool, broadcast of the two. */
function allowed(query: Tensor, key: Tensor, { causal, window }: AttentionAttributes): Tensor {
  const distance = query.sub(key);
  const bound = window ?? 2 ** 30;
  const past = distance.less(bound);
  const future = causal ? distance.less(0).logicalNot() : distance.neg().less(bound);
  return both(past, future);
}

function both(a: Tensor, b: Tensor): Tensor {
  return where(a, b, fill({ shape: [], dtype: 'bool' }, 0, a.backend));
}

/** Scores [..., T] with forbidden pairs at -∞ → weights and log Σ exp, both f32. */
function normalize(
  scores: Tensor,
  mask: Tensor,
  { softCap }: AttentionAttributes,
): { weights: Tensor; logSumExp: Tensor } {
  const capped = softCap
    ? scores
        .mul(1 / softCap)
        .tanh()
        .mul(softCap)
    : scores;
  const masked = where(mask, capped, fill({ shape: [], dtype: 'f32' }, -1e30, scores.backend));
  const top = masked.max(-1, true).detach();
  const exponentials = masked.sub(top).exp();
  const total = exponentials.sum(-1, true);
  return { weights: exponentials.div(total), logSumExp: total.log().add(top) };
}

export const attentionOps = defineOps<'attention' | 'attentionBackward' | 'cachedAttention'>({
  // softmax(scale · q kᵀ) v within each packed sequence; also returns log Σ exp of each query's scores [N, H].
  attention: {
    infer: (inputs, attributes) => {
      const [q, k, v, starts] = inputs;
      requireFloat('attention', [q, k, v]);
      requireSameDType('attention', [q, k, v]);
      requireHeads('attention', inputs, attributes);
      requireShape('attention', 'keys', k, [q.shape[0], -1, -1], inputs);
      requireDType('attention', 'sequenceStarts', starts, 'i32');
      requireRank('attention', 'sequenceStarts', starts, 1);
      return [
        { shape: [q.shape[0], q.shape[1], v.shape[2]], dtype: q.dtype },
        { shape: [q.shape[0], q.shape[1]], dtype: 'f32' },
      ];
    },
    indices: ([q]) => [{ input: 3, limit: q.shape[0] + 1 }],
    // Scores and sums over keys, of which each query sees half of its sequence; exponentials take as long again.
    depth: ([q, , , starts]) => (2 * q.shape[0]) / Math.max(1, starts.shape[0] - 1),
    vjp: {
      saves: { inputs: [0, 1, 2, 3], outputs: [0, 1] },
      constantOutputs: [1],
      gradients: ({ gradient, input, output, attributes }) => {
        const saved = [input(0), input(1), input(2), input(3), output(0), output(1)];
        return [...dispatch('attentionBackward', [gradient(0), ...saved], attributes), null];
      },
    },
    decompose: ([q, k, v, starts], attributes) => {
      const [N, H, D] = q.shape;
      const K = k.shape[1];
      const groups = H / K;
      const query = q.cast('f32').reshape(N, K, groups, D).permute(1, 2, 0, 3); // [K, H/K, N, D]
      const key = k.cast('f32').permute(1, 2, 0).reshape(K, 1, D, N);
      const value = v.cast('f32').permute(1, 0, 2).reshape(K, 1, N, v.shape[2]);
      const sequence = sequenceOfRow(starts, N);
      const row = arange(N, { backend: q.backend });
      const mask = both(
        sequence.reshape(N, 1).equal(sequence.reshape(1, N)),
        allowed(row.reshape(N, 1), row.reshape(1, N), attributes),
      );
      const { weights, logSumExp } = normalize(query.matmul(key).mul(attributes.scale), mask, attributes);
      const out = weights.matmul(value).permute(2, 0, 1, 3).reshape(N, H, v.shape[2]).cast(q.dtype);
      return [out, logSumExp.reshape(H, N).transpose().contiguous()];
    },
  },
  attentionBackward: {
    infer: ([, q, k, v]) => [q, k, v],
    // The decomposed forward pass again, with gradients.
    decompose: ([gradient, q, k, v, starts], attributes) => {
      const leaves = [q, k, v].map((x) => x.detach().setRequiresGrad(true));
      const [out] = enableGrad(() => attentionOps.attention.decompose!([...leaves, starts], attributes));
      out.backward(gradient);
      return leaves.map((leaf) => takeGrad(leaf) ?? fill(leaf, 0, leaf.backend));
    },
  },
  // (q [N, H, D], keys [L, K, D], values [L, K, Dv], sequenceStarts [S + 1], pageTable [S, P], lengths [S]) → [N, H, Dv]:
  // queries of running sequences, each the last rows of its sequence, against keys and values in pages; see CacheView in
  // `@frugal/tensor-core/nn`. Keys and values have any floating dtype, or they are i8 codes, with two more inputs
  // keyScales and valueScales f32 [L, K]. Values may be a view of the keys (MLA). Pages that no query sees are not read.
  cachedAttention: {
    infer: (inputs, attributes) => {
      const [q, keys, values, starts, pageTable, lengths] = inputs;
      requireFloat('cachedAttention', [q]);
      requireCached(inputs);
      requireHeads('cachedAttention', inputs, attributes);
      for (const [i, name] of ['sequenceStarts', 'pageTable', 'lengths'].entries()) {
        requireDType('cachedAttention', name, inputs[3 + i], 'i32');
      }
      requireRank('cachedAttention', 'pageTable', pageTable, 2);
      requireShape('cachedAttention', 'sequenceStarts', starts, [pageTable.shape[0] + 1], inputs);
      requireShape('cachedAttention', 'lengths', lengths, [pageTable.shape[0]], inputs);
      if (!attributes.causal || keys.shape[0] % attributes.pageSize !== 0) {
        throw new ArgumentError({
          where: 'cachedAttention',
          what: 'needs causal attention over whole pages',
          got: `causal ${attributes.causal}, ${keys.shape[0]} rows in pages of ${attributes.pageSize}`,
        });
      }
      return [{ shape: [q.shape[0], q.shape[1], values.shape[2]], dtype: q.dtype }];
    },
    indices: ([q, keys, , , pageTable], { pageSize }) => [
      { input: 3, limit: q.shape[0] + 1 },
      { input: 4, limit: keys.shape[0] / pageSize },
      { input: 5, limit: pageTable.shape[1] * pageSize + 1 },
    ],
    decompose: ([q, keys, values, starts, pageTable, lengths, ...scales], attributes) => {
      const { pageSize, scale } = attributes;
      const [N, H, D] = q.shape;
      const K = keys.shape[1];
      const capacity = pageTable.shape[1] * pageSize;
      const sequence = sequenceOfRow(starts, N);
      const slots = arange(pageSize, { backend: q.backend }).reshape(1, 1, pageSize);
      const rows = pageTable
        .reshape(...pageTable.shape, 1)
        .mul(pageSize)
        .add(slots)
        .reshape(-1, capacity); // [S, L]
      const cacheRows = rows.gatherRows(sequence); // [N, L]
      const gather = (cache: Tensor, scale?: Tensor) => {
        const rows = cache.gatherRows(cacheRows).cast('f32'); // [N, L, K, D]
        const [, L, heads] = rows.shape;
        const scaled = scale ? rows.mul(scale.gatherRows(cacheRows).reshape(N, L, heads, 1)) : rows;
        return scaled.permute(0, 2, 1, 3); // [N, K, L, D]
      };
      const end = starts.slice(0, 1, starts.shape[0]).gatherRows(sequence);
      const position = lengths
        .gatherRows(sequence)
        .sub(end)
        .add(arange(N, { backend: q.backend })); // [N]
      const column = arange(capacity, { backend: q.backend }).reshape(1, capacity);
      const mask = allowed(position.reshape(N, 1), column, attributes).reshape(N, 1, 1, capacity);
      const query = q.cast('f32').reshape(N, K, H / K, D);
      const { weights } = normalize(
        query.matmul(gather(keys, scales[0]).transpose()).mul(scale),
        mask,
        attributes,
      );
      return [weights.matmul(gather(values, scales[1])).reshape(N, H, values.shape[2]).cast(q.dtype)];
    },
  },
});
