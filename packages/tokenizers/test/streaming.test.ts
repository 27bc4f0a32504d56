import { describe, expect, it } from 'vitest';
import { type Tokenizer, tokenizerFromGguf } from '../src/index.js';
import { fixture, fixtureTokenizer, randomNumbers, randomText } from './support.js';

const tokenizers: [string, Tokenizer][] = [
  ...['gpt2', 'qwen2', 'llama2', 'mistral', 'bert', 't5', 'clip', 'words'].map(
    (name): [string, Tokenizer] => [name, fixtureTokenizer(name)],
  ),
  [
    'sentencepiece',
    tokenizerFromGguf(fixture<{ metadata: Record<string, unknown> }>('sentencepiece.json').metadata),
  ],
];

describe.each(tokenizers)('streaming: %s', (_, tokenizer) => {
  it('gives what decode gives, for texts and for random ids', () => {
    const random = randomNumbers(4);
    for (const skipSpecialTokens of [false, true]) {
      const decoder = tokenizer.streamingDecoder({ skipSpecialTokens });
      for (let round = 0; round < 150; round++) {
        const ids =
          round % 2
            ? [...tokenizer.encode(randomText(random, 15))]
            : Array.from({ length: 20 }, () => Math.floor(random() * (tokenizer.vocabularySize + 3)));
        const pieces = ids.map((id) => decoder.push(id));
        // Reused without being made anew: flush must leave nothing behind.
        expect(pieces.join('') + decoder.flush()).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
      }
    }
  });
});

it.each(['gpt2', 'llama2'])('never gives a part of a character: %s', (name) => {
  const tokenizer = fixtureTokenizer(name);
  const text = 'naïve 龘🙂👩‍👩‍👧𝒳 ok';
  const decoder = tokenizer.streamingDecoder({ skipSpecialTokens: true });
  const pieces = [...tokenizer.encode(text)].map((id) => decoder.push(id));
  pieces.push(decoder.flush());
  expect(pieces.join('')).toBe(text);
  for (const piece of pieces) expect(piece.isWellFormed() && !piece.includes('\ufffd')).toBe(true);
});

it('gives a character as soon as its last byte is there', () => {
  const tokenizer = fixtureTokenizer('gpt2');
  const ids = [...tokenizer.encode('龘!')];
  const decoder = tokenizer.streamingDecoder();
  expect(ids.map((id) => decoder.push(id))).toEqual(['', '', '龘', '!']);
});

it('refuses what is no id', () => {
  const tokenizer = fixtureTokenizer('gpt2');
  expect(() => tokenizer.decode([1.5])).toThrow(
    '[decode] an id is wrong: got 1.5; expected an integer from 0.',
  );
  expect(() => tokenizer.streamingDecoder().push(-1)).toThrow('an id is wrong');
  expect(tokenizer.decode([1e9])).toBe('');
});
