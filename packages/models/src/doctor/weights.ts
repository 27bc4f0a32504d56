import { isBlockDType, isNumericDType, storedRows, type TensorEntry } from '@frugal/checkpoint';
import { isKnownFormat } from '../weights/weight-source.js';
import type { Finding, Patient } from './finding.js';

const TILE_VALUES = 2 ** 20;

/** NaN and infinity spoil every text; a matrix of zeros is nearly always a conversion that went wrong. */
export async function weights(
  { checkpoint: { tensors } }: Patient,
  onProgress: (done: number, total: number) => void,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  let done = 0;
  for (const entry of tensors.entries.values()) {
    if (hasValues(entry)) {
      const { broken, zeros, total } = await count(storedRows(tensors, entry.name));
      if (broken > 0) findings.push(brokenFinding(entry.name, broken, total));
      else if (entry.shape.length > 1 && zeros === total && total > 0) findings.push(zeroFinding(entry.name));
    }
    onProgress(++done, tensors.entries.size);
  }
  if (findings.length === 0) findings.push({ check: 'weights', level: 'ok', what: 'all weights are finite' });
  return findings;
}

function hasValues({ dtype }: TensorEntry): boolean {
  if (isBlockDType(dtype)) return isKnownFormat(dtype.toLowerCase());
  return isNumericDType(dtype) && dtype !== 'BOOL';
}

async function count(
  rows: ReturnType<typeof storedRows>,
): Promise<{ broken: number; zeros: number; total: number }> {
  const step = Math.max(1, Math.floor(TILE_VALUES / Math.max(1, rows.columns)));
  let [broken, zeros, total] = [0, 0, 0];
  for (let row = 0; row < rows.rows; row += step) {
    const values = await rows.readValues(row, Math.min(step, rows.rows - row));
    for (const value of values) {
      if (!Number.isFinite(value)) broken++;
      else if (value === 0) zeros++;
    }
    total += values.length;
  }
  return { broken, zeros, total };
}

const brokenFinding = (name: string, broken: number, total: number): Finding => ({
  check: 'weights',
  level: 'error',
  what: `${name}: ${broken} of ${total} values are NaN or infinite`,
  consequence: 'All logits become NaN; most tools then print the same token forever.',
  fix: 'Fetch the file again, or look at the training step before it.',
});

const zeroFinding = (name: string): Finding => ({
  check: 'weights',
  level: 'warning',
  what: `${name}: all values are 0`,
  consequence: 'The layer does nothing: nearly always a conversion that lost it.',
});
