import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packDocuments } from '@frugal/data';
import { currentBackend, setBackend } from '@frugal/tensor-core';
import { saveTokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { afterAll, expect, it } from 'vitest';
import { settings } from '../src/settings.js';
import { trainHere } from '../src/training.js';

const folder = mkdtempSync(join(tmpdir(), 'frugal-hybrid-'));
const before = currentBackend();
afterAll(() => {
  setBackend(before);
  rmSync(folder, { recursive: true });
});

it('a run that began on one backend goes on with another, with the same losses', async () => {
  const texts = Array.from(
    { length: 40 },
    (_, i) => `${i} birds sat on ${i + 3} wires, and ${i % 7} flew away.`,
  );
  const tokenizer = trainByteLevelBpe(texts, { vocabularySize: 300, specialTokens: ['<|endoftext|>'] });
  await saveTokenizer(tokenizer, join(folder, 'tokenizer'));
  const documents = texts.map((text, i) => ({ id: String(i), text }));
  await packDocuments(documents, tokenizer, join(folder, 'data'), { separatorId: tokenizer.eosIds[0] });
  const go = (place: string, backend: string, steps: number) =>
    trainHere({ settings: settings.nano, data: folder, place: join(folder, place), backend, steps });

  const begun = await go('begun', 'reference', 2);
  for (const place of ['same', 'other'])
    cpSync(join(folder, 'begun'), join(folder, place), { recursive: true });
  const same = await go('same', 'reference', 6);
  const other = await go('other', 'wasm', 6);
  const uninterrupted = await go('fresh', 'reference', 6);

  expect([...begun.losses, ...same.losses]).toEqual(uninterrupted.losses);
  expect(other.losses).toHaveLength(4);
  for (const [i, loss] of other.losses.entries()) expect(loss).toBeCloseTo(same.losses[i], 4);
  // Far enough from where it began that another weight or another batch would be seen.
  expect(Math.abs(other.losses[3] - other.losses[0])).toBeGreaterThan(1e-2);
});
