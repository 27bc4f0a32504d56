import { defineKernels } from './kernels.js';
import { rawInPlace, readFloats, rowsAndColumns } from './values.js';

/** One row of settings of the op `sample`. */
interface SamplingRow {
  readonly temperature: number;
  /** 0: all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  /** In [0, 1): decides. */
  readonly uniform: number;
}

/** The definition of `sample` for one row of logits. */
function sampleRow(logits: Float32Array, settings: SamplingRow): number {
  const { temperature, topK, topP, minP, uniform } = settings;
  const best = firstLargest(logits);
  if (best < 0 || temperature === 0) return best;
  const weight = (id: number) => Math.exp((logits[id] - logits[best]) / temperature);
  const candidates = mostLikelyFirst(logits, logits[best] - 30 * temperature);
  if (topK > 0) candidates.length = Math.min(candidates.length, topK);
  const total = candidates.reduce((sum, id) => sum + weight(id), 0);
  const kept: number[] = [];
  let mass = 0;
  for (const id of candidates) {
    if (kept.length > 0 && (mass >= topP * total || weight(id) < minP)) break;
    kept.push(id);
    mass += weight(id);
  }
  kept.sort((a, b) => a - b);
  let target = uniform * mass;
  for (const id of kept) {
    target -= weight(id);
    if (target < 0) return id;
  }
  return kept[kept.length - 1];
}

/** First index of the largest value; -1 with NaN, or when the largest is infinite. */
function firstLargest(logits: Float32Array): number {
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    if (Number.isNaN(logits[id])) return -1;
    if (logits[id] > logits[best]) best = id;
  }
  return Number.isFinite(logits[best]) ? best : -1;
}

/** Ids, equal logits by id. Those below `floor` cannot be drawn: e^-30 is below the resolution of a 24-bit number. */
function mostLikelyFirst(logits: Float32Array, floor: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) if (logits[id] >= floor) ids.push(id);
  return ids.sort((a, b) => logits[b] - logits[a] || a - b);
}

export const samplingKernels = defineKernels<'sample'>({
  sample: ([logits, settings], [output]) => {
    const values = readFloats(logits);
    const numbers = readFloats(settings);
    const tokens = rawInPlace(output);
    const { rows, columns } = rowsAndColumns(logits.shape);
    for (let row = 0; row < rows; row++) {
      const [temperature, topK, topP, minP, uniform] = numbers.subarray(row * 5, row * 5 + 5);
      const logitsOfRow = values.subarray(row * columns, (row + 1) * columns);
      tokens[row] = sampleRow(logitsOfRow, { temperature, topK, topP, minP, uniform });
    }
  },
});
