import type { TensorView } from '../backend.js';
import type { AttentionAttributes } from '../ops/specs.js';
import { sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import { readFloats, readIndices, readNumbers, writeFloats } from './values.js';

/** Queries, keys and values of all heads, and room for the scores of one query. */
interface Heads {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly H: number;
  readonly K: number;
  readonly D: number;
  readonly Dv: number;
  readonly attributes: AttentionAttributes;
  /** Scaled and capped, by position of the key. */
  readonly scores: Float64Array;
  readonly weights: Float64Array;
}

/** The keys that one query sees: positions first … last, and the row of k and v in which each position lies. */
interface Visible {
  readonly first: number;
  readonly last: number;
  readonly rows: Int32Array;
}

/** Numbers as they are, or i8 codes times the scale of their vector. */
function dequantized(view: TensorView, scales?: TensorView): Float32Array {
  const numbers = readNumbers(view);
  if (!scales) return numbers as Float32Array;
  const scale = readFloats(scales);
  const D = view.shape[view.shape.length - 1];
  return Float32Array.from(numbers, (code, i) => code * scale[Math.floor(i / D)]);
}

function headsOf(
  [queries, keys, values, keyScales, valueScales]: readonly TensorView[],
  positions: number,
  attributes: AttentionAttributes,
): Heads {
  const [, H, D] = queries.shape;
  const [, K, Dv] = values.shape;
  const [q, k, v] = [readFloats(queries), dequantized(keys, keyScales), dequantized(values, valueScales)];
  const [scores, weights] = [new Float64Array(positions), new Float64Array(positions)];
  return { q, k, v, H, K, D, Dv, attributes, scores, weights };
}

/** What a query at `position` sees of a sequence whose keys lie in `rows`. */
function visible(position: number, rows: Int32Array, { causal, window }: AttentionAttributes): Visible {
  const end = rows.length - 1;
  const first = window ? Math.max(0, position - window + 1) : 0;
  const last = causal ? position : window ? Math.min(end, position + window - 1) : end;
  return { first, last, rows };
}

/** Sum of products of n numbers; four sums at a time, because one would wait for itself. */
function dot(a: Float32Array, i: number, b: Float32Array, j: number, n: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let d = 0;
  for (; d + 3 < n; d += 4) {
    s0 += a[i + d] * b[j + d];
    s1 += a[i + d + 1] * b[j + d + 1];
    s2 += a[i + d + 2] * b[j + d + 2];
    s3 += a[i + d + 3] * b[j + d + 3];
  }
  for (; d < n; d++) s0 += a[i + d] * b[j + d];
  return s0 + s1 + (s2 + s3);
}

/** Fills `scores` and `weights` = softmax(scores) of head `h` of query `row`; returns log Σ exp. */
function weigh(heads: Heads, row: number, h: number, { first, last, rows }: Visible): number {
  const { q, k, H, K, D, scores, weights } = heads;
  const { scale, softCap } = heads.attributes;
  const head = Math.floor((h * K) / H);
  let top = Number.NEGATIVE_INFINITY;
  for (let j = first; j <= last; j++) {
    const score = scale * dot(q, (row * H + h) * D, k, (rows[j] * K + head) * D, D);
    scores[j] = softCap ? softCap * Math.tanh(score / softCap) : score;
    top = Math.max(top, scores[j]);
  }
  let sum = 0;
  for (let j = first; j <= last; j++) {
    weights[j] = Math.exp(scores[j] - top);
    sum += weights[j];
  }
  for (let j = first; j <= last; j++) weights[j] /= sum;
  return top + Math.log(sum);
}

/** Adds Σ weights · v to `out`, which starts at 0. */
function mix(heads: Heads, row: number, h: number, { first, last, rows }: Visible, out: Float64Array): void {
  const { v, H, K, Dv, weights } = heads;
  const head = Math.floor((h * K) / H);
  const to = (row * H + h) * Dv;
  for (let j = first; j <= last; j++) {
    const weight = weights[j];
    const from = (rows[j] * K + head) * Dv;
    for (let d = 0; d < Dv; d++) out[to + d] += weight * v[from + d];
  }
}

interface Gradients {
  readonly g: Float32Array;
  readonly dq: Float64Array;
  readonly dk: Float64Array;
  readonly dv: Float64Array;
  /** Room for the gradients of one query's weights. */
  readonly dWeights: Float64Array;
}

/** With weights p and dp = g·v: ds = p · (dp - Σ p·dp), then dq = Σ ds·k, dk = Σ ds·q, dv = Σ p·g. */
function pullBack(heads: Heads, row: number, h: number, seen: Visible, gradients: Gradients): void {
  const { q, k, v, H, K, D, Dv, scores, weights } = heads;
  const { scale, softCap } = heads.attributes;
  const { g, dq, dk, dv, dWeights } = gradients;
  const { first, last, rows } = seen;
  const head = Math.floor((h * K) / H);
  const query = (row * H + h) * D;
  const from = (row * H + h) * Dv;
  weigh(heads, row, h, seen);
  let mean = 0; // Σ p·dp
  for (let j = first; j <= last; j++) {
    const value = (rows[j] * K + head) * Dv;
    dWeights[j] = dot(g, from, v, value, Dv);
    mean += weights[j] * dWeights[j];
    for (let d = 0; d < Dv; d++) dv[value + d] += weights[j] * g[from + d];
  }
  for (let j = first; j <= last; j++) {
    const slope = softCap ? 1 - (scores[j] / softCap) ** 2 : 1;
    const ds = weights[j] * (dWeights[j] - mean) * slope * scale;
    const key = (rows[j] * K + head) * D;
    for (let d = 0; d < D; d++) dq[query + d] += ds * k[key + d];
    for (let d = 0; d < D; d++) dk[key + d] += ds * q[query + d];
  }
}

/** Calls `visit` for each query of packed sequences with the keys that it sees. */
function eachQuery(
  starts: Int32Array,
  attributes: AttentionAttributes,
  visit: (row: number, seen: Visible) => void,
): void {
  for (let s = 0; s + 1 < starts.length; s++) {
    const rows = Int32Array.from({ length: starts[s + 1] - starts[s] }, (_, j) => starts[s] + j);
    for (let row = starts[s]; row < starts[s + 1]; row++)
      visit(row, visible(row - starts[s], rows, attributes));
  }
}

export const attentionKernels = defineKernels<'attention' | 'attentionBackward' | 'cachedAttention'>({
  attention: ([queries, keys, values, starts], [output, logSumExp], attributes) => {
    const [N, H] = queries.shape;
    const heads = headsOf([queries, keys, values], N, attributes);
    const totals = new Float64Array(N * H);
    const mixed = new Float64Array(sizeOf(output.shape));
    eachQuery(readIndices(starts), attributes, (row, seen) => {
      for (let h = 0; h < H; h++) {
        totals[row * H + h] = weigh(heads, row, h, seen);
        mix(heads, row, h, seen, mixed);
      }
    });
    writeFloats(output, (out) => out.set(mixed));
    writeFloats(logSumExp, (out) => out.set(totals));
  },

  attentionBackward: ([gradient, queries, keys, values, starts], outputs, attributes) => {
    const [N, H] = queries.shape;
    const heads = headsOf([queries, keys, values], N, attributes);
    const [dq, dk, dv] = outputs.map(({ shape }) => new Float64Array(sizeOf(shape)));
    const gradients = { g: readFloats(gradient), dq, dk, dv, dWeights: new Float64Array(N) };
    eachQuery(readIndices(starts), attributes, (row, seen) => {
      for (let h = 0; h < H; h++) pullBack(heads, row, h, seen, gradients);
    });
    for (const [i, sums] of [dq, dk, dv].entries()) writeFloats(outputs[i], (out) => out.set(sums));
  },

  cachedAttention: (inputs, [output], attributes) => {
    const [queries, keys, values, sequenceStarts, pageTable, lengths, ...scales] = inputs;
    const [starts, pages, lengthOf] = [sequenceStarts, pageTable, lengths].map(readIndices);
    const { pageSize } = attributes;
    const [S, P] = pageTable.shape;
    const H = queries.shape[1];
    const heads = headsOf([queries, keys, values, ...scales], P * pageSize, attributes);
    const mixed = new Float64Array(sizeOf(output.shape));
    for (let s = 0; s < S; s++) {
      const pageOf = (j: number) => pages[s * P + Math.floor(j / pageSize)];
      const rows = Int32Array.from({ length: lengthOf[s] }, (_, j) => pageOf(j) * pageSize + (j % pageSize));
      for (let row = starts[s]; row < starts[s + 1]; row++) {
        const seen = visible(lengthOf[s] - starts[s + 1] + row, rows, attributes);
        for (let h = 0; h < H; h++) {
          weigh(heads, row, h, seen);
          mix(heads, row, h, seen, mixed);
        }
      }
    }
    writeFloats(output, (out) => out.set(mixed));
  },
});
