import { describe, expect, it } from 'vitest';
import { type PretokenizerName, type TrainingProgress, trainByteLevelBpe } from '../src/index.js';
import { fixture, fixtureTokenizer, randomNumbers } from './support.js';

const corpus = fixture<string[]>('corpus.json');

describe('trainByteLevelBpe', () => {
  it.each<[PretokenizerName, number]>([
    ['gpt2', 480],
    ['llama3', 600],
    ['qwen2', 480],
  ])("learns what Hugging Face's trainer learns: %s", (pretokenizer, vocabularySize) => {
    const specialTokens = ['<|endoftext|>', '<|im_start|>'];
    const ours = trainByteLevelBpe(corpus, { vocabularySize, pretokenizer, specialTokens });
    const { model } = fixture<{ model: { vocab: object; merges: string[][] } }>(
      `${pretokenizer}.tokenizer.json`,
    );
    const written = ours.toJSON().model as { vocab: object; merges: string[] };
    expect(written.merges).toEqual(model.merges.map((pair) => pair.join(' ')));
    expect(written.vocab).toEqual(model.vocab);
    expect(ours.vocabularySize).toBe(vocabularySize);
    const theirs = fixtureTokenizer(pretokenizer);
    for (const text of fixture<string[]>('texts.json')) {
      // The fixtures have a normalizer and added tokens of their own.
      const plain = text.replaceAll('nation', '').replaceAll('<tool>', '').normalize('NFC');
      expect(ours.encode(plain, { addSpecialTokens: false })).toEqual(
        theirs.encode(plain, { addSpecialTokens: false }),
      );
    }
  });

  it('merges the most frequent pair, of equals the one with the smallest ids, and no rare ones', () => {
    const learned = (texts: string[], minFrequency?: number) =>
      (trainByteLevelBpe(texts, { vocabularySize: 300, minFrequency }).toJSON().model as { merges: string[] })
        .merges;
    expect(learned(['ab ab cd cd cd'])).toEqual(['c d', 'Ġ cd', 'a b']);
    expect(learned(['zy ab', 'zy ab'])).toEqual(['a b', 'z y', 'Ġ ab']);
    expect(learned(['xyz xyz'], 3)).toEqual([]);
    expect(learned(['aaaaaaaa'])).toEqual(['a a', 'aa aa']);
  });

  it('keeps the counts of pairs true: as a trainer that counts anew each time', () => {
    const random = randomNumbers(8);
    for (let round = 0; round < 30; round++) {
      const words = Array.from({ length: 12 }, () =>
        Array.from({ length: 1 + Math.floor(random() * 9) }, () => 'abc'[Math.floor(random() * 3)]).join(''),
      );
      const text = words.join('\n');
      const { merges } = trainByteLevelBpe([text], { vocabularySize: 290, specialTokens: [] }).toJSON()
        .model as {
        merges: string[];
      };
      expect(merges).toEqual(learnPlainly(words, merges.length));
    }
  });

  it('reports its progress', () => {
    const events: TrainingProgress[] = [];
    trainByteLevelBpe(['abab', 'cdcd'], {
      vocabularySize: 260,
      onProgress: (event) => events.push({ ...event }),
    });
    expect(events).toEqual([
      { phase: 'count', documents: 1, characters: 4 },
      { phase: 'count', documents: 2, characters: 8 },
      { phase: 'merge', done: 1, total: 3 },
      { phase: 'merge', done: 2, total: 3 },
    ]);
  });

  it('takes texts one by one', () => {
    function* texts() {
      for (let i = 0; i < 100; i++) yield `text ${i % 9} `;
    }
    expect(trainByteLevelBpe(texts(), { vocabularySize: 260 }).vocabularySize).toBe(260);
  });

  it('encodes anything, trained on nothing', () => {
    const tokenizer = trainByteLevelBpe([], { vocabularySize: 300 });
    expect(tokenizer.vocabularySize).toBe(257);
    expect(tokenizer.decode(tokenizer.encode('你好\u0000', { addSpecialTokens: false }))).toBe('你好\u0000');
  });

  it('gives special tokens their roles', () => {
    const plain = trainByteLevelBpe([], { vocabularySize: 257 });
    expect([plain.bosId, plain.eosIds, plain.padId]).toEqual([0, [0], 0]);
    expect([...plain.encode('')]).toEqual([0]);
    const tokenizer = trainByteLevelBpe([], {
      vocabularySize: 300,
      specialTokens: ['<s>', '</s>', '<pad>'],
      bosToken: '<s>',
      eosToken: '</s>',
      padToken: '<pad>',
      addBosToken: false,
    });
    expect([tokenizer.bosId, tokenizer.eosIds, tokenizer.padId]).toEqual([0, [1], 2]);
    expect([...tokenizer.encode('</s>')]).toEqual([1]);
    const bare = trainByteLevelBpe([], { vocabularySize: 256, specialTokens: [] });
    expect([bare.bosId, bare.eosIds, bare.padId, [...bare.encode('')]]).toEqual([
      undefined,
      [],
      undefined,
      [],
    ]);
  });

  it.each([
    [{ vocabularySize: 256 }, 'vocabularySize is wrong: got 256; expected an integer from 257'],
    [{ vocabularySize: 300.5 }, 'got 300.5'],
    [{ vocabularySize: 300, specialTokens: ['a'] }, 'a special token is the name of a byte: got "a"'],
    [{ vocabularySize: 300, specialTokens: ['<s>', '<s>'] }, 'expected different names, none empty'],
    [{ vocabularySize: 300, bosToken: '<s>' }, 'a role is given to no special token: got "<s>"'],
  ])('refuses %j', (options, message) => {
    expect(() => trainByteLevelBpe([], options)).toThrow(message);
  });
});

/** Byte-pair encoding by definition, over words of a, b and c (a newline is a word of its own). */
function learnPlainly(words: string[], count: number): string[] {
  let split = words.map((word) => [...word]);
  // Ids grow with the alphabet first, then with the order of merges.
  const ids = new Map([...'abc'].map((letter, id) => [letter, id]));
  const merges: string[] = [];
  while (merges.length < count) {
    const pairs = new Map<string, number>();
    for (const word of split) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
      }
    }
    const order = (pair: string) => pair.split(' ').map((token) => ids.get(token) as number);
    const [best] = [...pairs].sort(([a, countA], [b, countB]) => {
      const [[leftA, rightA], [leftB, rightB]] = [order(a), order(b)];
      return countB - countA || leftA - leftB || rightA - rightB;
    })[0];
    const [left, right] = best.split(' ');
    if (!ids.has(left + right)) ids.set(left + right, ids.size);
    merges.push(best);
    split = split.map((word) => {
      const merged: string[] = [];
      for (let i = 0; i < word.length; i++) {
        const matches = word[i] === left && word[i + 1] === right;
        merged.push(matches ? left + right : word[i]);
        if (matches) i++;
      }
      return merged;
    });
  }
  return merges;
}
