import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DataError } from './errors.js';
import { openDataset, packDocuments } from './shards.js';

const tokenizer = trainByteLevelBpe(['abc'], { vocabularySize: 257, specialTokens: ['<|endoftext|>'] });
const documents = ['one', 'two <|endoftext|>', '三'].map((text, i) => ({ id: String(i), text }));
const separatorId = tokenizer.eosIds[0];

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'frugal-data-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return join(directory, 'packed');
}

describe('packed data sets', () => {
  it('hold every document behind a separator, over several shards', async () => {
    const path = await temporary();
    await packDocuments(documents, tokenizer, path, { separatorId, shardTokens: 4 });
    const { tokens, documentStarts, index } = await openDataset(path, { tokenizer });
    expect(index.shards.length).toBe(3);
    const texts = [...documentStarts].map((start, i) =>
      tokenizer.decode(tokens.subarray(start + 1, documentStarts[i + 1])),
    );
    expect(texts).toEqual(documents.map(({ text }) => text));
    expect([...documentStarts].every((start) => tokens[start] === separatorId)).toBe(true);
  });

  it('need a separator that is a token', async () => {
    const path = await temporary();
    for (const bad of [undefined as unknown as number, -1, 257]) {
      await expect(packDocuments(documents, tokenizer, path, { separatorId: bad })).rejects.toThrow(
        DataError,
      );
    }
  });

  it.each([
    [
      'totals that do not add up',
      (index: string) => index.replace(/"tokens": *\d+/, '"tokens": 999'),
      /totals/,
    ],
    ['an index that is cut off', (index: string) => index.slice(0, -9), /JSON/],
  ])('refuse %s', async (_, change, message) => {
    const path = await temporary();
    await packDocuments(documents, tokenizer, path, { separatorId });
    const file = join(path, 'dataset.json');
    await writeFile(file, change(await readFile(file, 'utf8')));
    await expect(openDataset(path)).rejects.toThrow(message);
  });

  it('refuse an altered shard by name', async () => {
    const path = await temporary();
    await packDocuments(documents, tokenizer, path, { separatorId });
    const file = join(path, 'shard-00000.safetensors');
    const bytes = await readFile(file);
    bytes[bytes.length - 1] ^= 1;
    await writeFile(file, bytes);
    await expect(openDataset(path)).rejects.toThrow(/shard-00000.*altered/);
    await writeFile(file, bytes.subarray(0, 40));
    await expect(openDataset(path)).rejects.toThrow(/shard-00000/);
  });
});
