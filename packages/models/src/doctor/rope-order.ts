import { storedRows } from '@frugal/checkpoint';
import { architectureOf } from '../gguf/gguf-weights.js';
import { headSizeOf } from '../gguf/shared-config.js';
import { pairedRows } from '../weights/row-order.js';
import type { Check, Patient } from './finding.js';

const SAMPLES = 8;

/** One order must agree this much better than the other before the weights are taken to tell. */
const CLEAR = 0.7;

/**
 * Rotary pairs have the same frequency, so that in a trained model their two rows have similar norms. Hugging Face puts
 * the two D/2 apart, GGUF's llama side by side: the order that makes norms agree is the one that the file has. Where
 * neither agrees better, as with random weights, nothing can be told; a GGUF file, for which the order depends on the
 * architecture, is then said to be undecided.
 */
export const ropeOrder: Check = async (patient) => {
  const { checkpoint, config } = patient;
  if (!config || config.rope_interleaved === true) return [];
  const isGguf = checkpoint.kind === 'gguf';
  const architecture = isGguf ? architectureOf(checkpoint) : null;
  // Latent attention rotates a part of its rows, in matrices of its own.
  if (architecture?.latentSizes) return [];
  const sideBySide = Boolean(architecture?.rowOrder?.('blocks.0.attention.query', config));
  const { samples, apart, adjacent } = await compareOrders(patient, headSizeOf(config));
  if (samples === 0) return [];
  const [asIs, reordered] = sideBySide ? [adjacent, apart] : [apart, adjacent];
  const evidence = `norms of rotary pairs differ by ${asIs.toFixed(3)} (log) as stored, by ${reordered.toFixed(3)} when pairs are taken ${sideBySide ? 'half a head apart' : 'side by side'}`;
  if (!(reordered < CLEAR * asIs)) {
    if (!isGguf || asIs < CLEAR * reordered) return [];
    const what = 'the weights do not tell in which order the rows of queries and keys are';
    return [{ check: 'rope-order', level: 'ok', what, evidence }];
  }
  return [
    {
      check: 'rope-order',
      level: 'error',
      what: isGguf
        ? `rows of queries and keys are ${sideBySide ? 'not reordered' : 'reordered'}, as ${architecture?.name} files must ${sideBySide ? '' : 'not '}be`
        : 'rows of queries and keys are in the order of GGUF, not of Hugging Face',
      evidence,
      consequence: 'Every position is rotated wrongly: all tools produce fluent-looking nonsense.',
      fix: isGguf
        ? 'Convert again from the original with frugal convert.'
        : 'Convert again from the original, or from the GGUF file with frugal convert.',
    },
  ];
};

/** How much norms differ within rotary pairs, for pairs half a head apart and for pairs side by side; means of samples. */
async function compareOrders({ checkpoint: { tensors } }: Patient, headSize: number) {
  const names = [...tensors.entries.keys()].filter((name) => /\.([qk]_proj|attn_[qk])\.weight$/.test(name));
  const order = pairedRows(headSize, headSize);
  let [apart, adjacent, samples] = [0, 0, 0];
  for (const name of names.slice(0, SAMPLES)) {
    const rows = storedRows(tensors, name);
    if (rows.rows % headSize !== 0) continue;
    const norms = logNorms(await rows.readValues(0, rows.rows), rows.columns);
    apart += disagreement(norms, headSize, (i) => i);
    adjacent += disagreement(norms, headSize, (i) => order[i]);
    samples++;
  }
  return { samples, apart: apart / samples, adjacent: adjacent / samples };
}

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
