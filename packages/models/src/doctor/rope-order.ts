import { storedRows } from '@frugal/checkpoint';
import { headSizeOf } from '../gguf/shared-config.js';
import { pairedRows } from '../weights/row-order.js';
import type { Check } from './finding.js';

const SAMPLES = 8;

/**
 * Rotary pairs have the same frequency, so that in a trained model their two rows have similar norms. Hugging Face puts
 * the two D/2 apart, GGUF's llama side by side: the order that makes norms agree is the one that the file has.
 */
export const ropeOrder: Check = async ({ checkpoint, config }) => {
  if (checkpoint.kind === 'gguf' || !config || config.rope_interleaved === true) return [];
  const headSize = headSizeOf(config);
  const names = [...checkpoint.tensors.entries.keys()].filter((name) => /\.[qk]_proj\.weight$/.test(name));
  const order = pairedRows(headSize, headSize);
  let [asIs, reordered, samples] = [0, 0, 0];
  for (const name of names.slice(0, SAMPLES)) {
    const rows = storedRows(checkpoint.tensors, name);
    if (rows.rows % headSize !== 0) continue;
    const norms = logNorms(await rows.readValues(0, rows.rows), rows.columns);
    asIs += disagreement(norms, headSize, (i) => i);
    reordered += disagreement(norms, headSize, (i) => order[i]);
    samples++;
  }
  if (samples === 0 || reordered > 0.7 * asIs) return [];
  return [
    {
      check: 'rope-order',
      level: 'error',
      what: 'rows of queries and keys are in the order of GGUF, not of Hugging Face',
      evidence: `norms of rotary pairs differ by ${(asIs / samples).toFixed(3)} (log) as stored, by ${(reordered / samples).toFixed(3)} when pairs are taken side by side`,
      consequence: 'Every position is rotated wrongly: all tools produce fluent-looking nonsense.',
      fix: 'Convert again from the original, or from the GGUF file with frugal convert.',
    },
  ];
};

function logNorms(values: Float32Array, columns: number): Float32Array {
  const norms = new Float32Array(values.length / columns);
  for (let r = 0; r < norms.length; r++) {
    let sum = 1e-20;
    for (let c = 0; c < columns; c++) sum += values[r * columns + c] ** 2;
    norms[r] = 0.5 * Math.log(sum);
  }
  return norms;
}

/** Mean difference between the two rows of each pair, where row i of a head lies at `place(i)`. */
function disagreement(norms: Float32Array, headSize: number, place: (row: number) => number): number {
  const half = headSize / 2;
  let sum = 0;
  for (let start = 0; start < norms.length; start += headSize)
    for (let i = 0; i < half; i++) sum += Math.abs(norms[start + place(i)] - norms[start + place(i + half)]);
  return (2 * sum) / norms.length;
}
