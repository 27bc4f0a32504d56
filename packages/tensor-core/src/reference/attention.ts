import type { AttentionAttributes } from '../ops/specs.js';
import { sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import { readFloats, readIndices, writeFloats } from './values.js';

/** First and last position that a query at `position` sees, of a sequence of `length` keys. */
function visible(
  position: number,
  length: number,
  { causal, window }: AttentionAttributes,
): [number, number] {
  const first = window ? Math.max(0, position - window + 1) : 0;
  const last = causal ? position : window ? Math.min(length - 1, position + window - 1) : length - 1;
  return [first, last];
}

/** One head of one query: where its vector lies, and how to find the rows of the keys it sees. */
interface Query {
  readonly values: Float32Array;
  readonly start: number;
  readonly D: number;
  readonly first: number;
  readonly last: number;
  /** Start of key `j`'s vector, of D numbers. */
  keyAt(j: number): number;
}

/** Fills `scores[j]` with scale · q·k (capped) for the keys that are seen; returns log Σ exp. */
function scoreKeys(
  query: Query,
  keys: Float32Array,
  { scale, softCap }: AttentionAttributes,
  scores: Float64Array,
): number {
  const { values, start, D, first, last } = query;
  let top = Number.NEGATIVE_INFINITY;
  for (let j = first; j <= last; j++) {
    const key = query.keyAt(j);
    let dot = 0;
    for (let d = 0; d < D; d++) dot += values[start + d] * keys[key + d];
    const score = softCap ? softCap * Math.tanh((dot * scale) / softCap) : dot * scale;
    scores[j] = score;
    if (!(score <= top)) top = score;
  }
  let sum = 0;
  for (let j = first; j <= last; j++) sum += Math.exp(scores[j] - top);
  return top + Math.log(sum);
}

/** Calls `visit` for each query of each sequence, in order: (row, first row and length of its sequence). */
function eachQuery(starts: Int32Array, visit: (row: number, start: number, length: number) => void): void {
  for (let s = 0; s + 1 < starts.length; s++) {
    for (let row = starts[s]; row < starts[s + 1]; row++) visit(row, starts[s], starts[s + 1] - starts[s]);
  }
}

export const attentionKernels = defineKernels<'attention' | 'attentionBackward' | 'cachedAttention'>({
  attention: ([queries, keys, values, sequenceStarts], [output, logSumExp], attributes) => {
    const [q, k, v] = [readFloats(queries), readFloats(keys), readFloats(values)];
    const starts = readIndices(sequenceStarts);
    const [N, H, D] = queries.shape;
    const [, K, Dv] = values.shape;
    const scores = new Float64Array(N);
    const totals = new Float64Array(N * H);
    const mixed = new Float64Array(N * H * Dv);
    eachQuery(starts, (row, sequence, length) => {
      const [first, last] = visible(row - sequence, length, attributes);
      for (let h = 0; h < H; h++) {
        const head = Math.floor((h * K) / H);
        const keyAt = (j: number) => ((sequence + j) * K + head) * D;
        const query = { values: q, start: (row * H + h) * D, D, first, last, keyAt };
        const total = scoreKeys(query, k, attributes, scores);
        totals[row * H + h] = total;
        const to = (row * H + h) * Dv;
        for (let j = first; j <= last; j++) {
          const weight = Math.exp(scores[j] - total);
          const from = ((sequence + j) * K + head) * Dv;
          for (let d = 0; d < Dv; d++) mixed[to + d] += weight * v[from + d];
        }
      }
    });
    writeFloats(output, (out) => out.set(mixed));
    writeFloats(logSumExp, (out) => out.set(totals));
  },

  // With weights p and dp = g·v: ds = p · (dp - Σ p·dp), then dq = Σ ds·k, dk = Σ ds·q, dv = Σ p·g.
  attentionBackward: ([gradient, queries, keys, values, sequenceStarts], outputs, attributes) => {
    const [g, q, k, v] = [readFloats(gradient), readFloats(queries), readFloats(keys), readFloats(values)];
    const starts = readIndices(sequenceStarts);
    const [N, H, D] = queries.shape;
    const [, K, Dv] = values.shape;
    const { scale, softCap } = attributes;
    const scores = new Float64Array(N);
    const weightGradients = new Float64Array(N);
    const [dq, dk, dv] = [queries, keys, values].map(({ shape }) => new Float64Array(sizeOf(shape)));
    eachQuery(starts, (row, sequence, length) => {
      const [first, last] = visible(row - sequence, length, attributes);
      for (let h = 0; h < H; h++) {
        const head = Math.floor((h * K) / H);
        const keyAt = (j: number) => ((sequence + j) * K + head) * D;
        const query = (row * H + h) * D;
        const from = (row * H + h) * Dv;
        const total = scoreKeys({ values: q, start: query, D, first, last, keyAt }, k, attributes, scores);
        let mean = 0; // Σ p·dp
        for (let j = first; j <= last; j++) {
          const value = ((sequence + j) * K + head) * Dv;
          const weight = Math.exp(scores[j] - total);
          let dot = 0;
          for (let d = 0; d < Dv; d++) {
            dot += g[from + d] * v[value + d];
            dv[value + d] += weight * g[from + d];
          }
          weightGradients[j] = dot;
          mean += weight * dot;
        }
        for (let j = first; j <= last; j++) {
          const slope = softCap ? 1 - (scores[j] / softCap) ** 2 : 1;
          const ds = Math.exp(scores[j] - total) * (weightGradients[j] - mean) * slope * scale;
          const key = keyAt(j);
          for (let d = 0; d < D; d++) {
            dq[query + d] += ds * k[key + d];
            dk[key + d] += ds * q[query + d];
          }
        }
      }
    });
    for (const [i, sums] of [dq, dk, dv].entries()) writeFloats(outputs[i], (out) => out.set(sums));
  },

  cachedAttention: ([queries, keys, values, sequenceStarts, pageTable, lengths], [output], attributes) => {
    const [q, k, v] = [readFloats(queries), readFloats(keys), readFloats(values)];
    const [starts, pages, lengthOf] = [sequenceStarts, pageTable, lengths].map(readIndices);
    const [N, H, D] = queries.shape;
    const [, K, Dv] = values.shape;
    const { pageSize } = attributes;
    const [S, P] = pageTable.shape;
    const scores = new Float64Array(P * pageSize);
    const mixed = new Float64Array(N * H * Dv);
    for (let s = 0; s < S; s++) {
      const cacheRow = (j: number) => pages[s * P + Math.floor(j / pageSize)] * pageSize + (j % pageSize);
      for (let row = starts[s]; row < starts[s + 1]; row++) {
        const position = lengthOf[s] - starts[s + 1] + row;
        const [first, last] = visible(position, lengthOf[s], attributes);
        for (let h = 0; h < H; h++) {
          const head = Math.floor((h * K) / H);
          const keyAt = (j: number) => (cacheRow(j) * K + head) * D;
          const total = scoreKeys(
            { values: q, start: (row * H + h) * D, D, first, last, keyAt },
            k,
            attributes,
            scores,
          );
          const to = (row * H + h) * Dv;
          for (let j = first; j <= last; j++) {
            const weight = Math.exp(scores[j] - total);
            const from = (cacheRow(j) * K + head) * Dv;
            for (let d = 0; d < Dv; d++) mixed[to + d] += weight * v[from + d];
          }
        }
      }
    }
    writeFloats(output, (out) => out.set(mixed));
  },
});
