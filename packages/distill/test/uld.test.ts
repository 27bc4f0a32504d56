import { createModel } from '@frugal/models';
import { type BatchSource, nextTokenBatch } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { describe, expect, it } from 'vitest';
import { alignBatch, alignTokens, universalDistillation } from '../src/index.js';
import { distilled, tinyModel } from './tiny.js';

const text = 'Fellow citizens of the Senate, the country is at peace. 却说曹操引兵追赶，玄德兵败。'.repeat(4);
const specialTokens = ['<|end|>'];
const own = trainByteLevelBpe([text], { vocabularySize: 280, specialTokens });
const other = trainByteLevelBpe([text.slice(0, 200)], { vocabularySize: 320, specialTokens });

const bytesUpTo = (ids: Int32Array, tokenizer: typeof own, row: number) =>
  Buffer.concat([...ids.subarray(0, row + 1)].map((id) => tokenizer.tokenBytes(id))).toString('latin1');

describe('tokens of two tokenizers', () => {
  it('pair up where both have read the same bytes, and everywhere where they can', () => {
    const sequence = own.encode(text.slice(0, 120));
    const { ids, ours, theirs } = alignTokens(sequence, own, other);
    expect(other.decode(ids)).toBe(`<|end|>${text.slice(0, 120)}`);
    for (const [i, row] of ours.entries())
      expect(bytesUpTo(sequence, own, row)).toBe(bytesUpTo(ids, other, theirs[i]));
    const ends = (tokens: Int32Array, tokenizer: typeof own) =>
      new Set([...tokens.keys()].map((row) => bytesUpTo(tokens, tokenizer, row)));
    const theirEnds = ends(ids, other);
    expect(ours.length).toBe([...ends(sequence, own)].filter((end) => theirEnds.has(end)).length);
    expect(ours.length).toBeGreaterThan(10);
  });

  it('pair up also in pieces that begin and end within a character, and around special tokens', () => {
    const [end] = own.eosIds;
    const chinese = own.encode('却说曹操引兵追赶', { addSpecialTokens: false });
    // The bytes of 却 but its first, the whole text, a separator, a text whose last character is cut.
    const rest = [...Buffer.from('却').subarray(1)].map((byte) => idOfByte(byte));
    const cut = [...Buffer.from('兵').subarray(0, 2)].map((byte) => idOfByte(byte));
    const sequence = Int32Array.from([
      ...rest,
      ...chinese,
      end,
      ...own.encode('peace', { addSpecialTokens: false }),
      ...cut,
    ]);
    const { ids, ours, theirs } = alignTokens(sequence, own, other);
    expect(other.decode(ids)).toBe('<|end|>却说曹操引兵追赶<|end|>peace');
    expect(ours.length).toBeGreaterThan(1);
    for (const [i, row] of ours.entries()) {
      expect(`<|end|>${bytesUpTo(sequence.subarray(rest.length), own, row - rest.length)}`).toBe(
        bytesUpTo(ids, other, theirs[i]),
      );
    }
  });

  it('of one tokenizer are all pairs', () => {
    const sequence = own.encode(text.slice(0, 60));
    const { ids, ours, theirs } = alignTokens(sequence, own, own);
    expect([...ids]).toEqual([...sequence]);
    expect([...ours]).toEqual([...sequence.keys()]);
    expect([...theirs]).toEqual([...sequence.keys()]);
  });

  it('count rows through all sequences of a batch', () => {
    const sequences = [own.encode(text.slice(0, 40)), own.encode(text.slice(40, 80))];
    const batch = alignBatch(nextTokenBatch(sequences), own, own);
    const rows = sequences[0].length + sequences[1].length;
    expect([...(batch?.rowPairs?.teacher ?? [])]).toEqual(Array.from({ length: rows }, (_, i) => i));
    expect(alignBatch(nextTokenBatch([Int32Array.of(idOfByte(0xe5))]), own, other)).toBe(null);
  });
});

function idOfByte(byte: number): number {
  for (let id = 0; id < own.vocabularySize; id++) {
    const bytes = own.tokenBytes(id);
    if (bytes.length === 1 && bytes[0] === byte) return id;
  }
  throw new Error(`no token for byte ${byte}`);
}

describe('distill.uld', () => {
  const tokens = own.encode(text);
  const data = (): BatchSource => ({
    next: () => nextTokenBatch([tokens.subarray(0, 30), tokens.subarray(30, 60)]),
    state: () => 0,
    restore: () => {},
  });
  const methods = [universalDistillation({ student: own, teacher: other })];

  it('learns from a teacher with another vocabulary', async () => {
    const teacher = tinyModel(2, { vocab_size: 320 });
    const student = () => tinyModel(1, { vocab_size: 280 });
    const run = (weight: number) =>
      distilled(student(), [{ type: 'distill.uld', weight }], { methods, teacher, data: data() });
    const [light, heavy] = [await run(0.001), await run(30)];
    expect(light.last).toBeLessThan(light.first);
    // The same batch every time: what the weight adds at the start is the distance of the sorted probabilities.
    const distance = { first: (heavy.first - light.first) / 30, last: (heavy.last - light.last) / 30 };
    expect(distance.first).toBeGreaterThan(0);
    expect(heavy.last).toBeLessThan(heavy.first);
  });

  it('needs data and a teacher', async () => {
    const stage = distilled(createModel(tinyModel(1).config, { seed: 1 }), [{ type: 'distill.uld' }], {
      methods,
      data: data(),
    });
    await expect(stage).rejects.toThrow(/needs a teacher/);
  });
});
