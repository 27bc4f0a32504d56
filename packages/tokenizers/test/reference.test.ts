import { describe, expect, it } from 'vitest';
import { createTokenizer, tokenizerFromGguf } from '../src/index.js';
import { fixture, fixtureTokenizer } from './support.js';

interface Expected {
  readonly ids: number[][];
  readonly withoutSpecialTokens: (number[] | null)[];
  readonly texts: string[];
  readonly textsWithoutSpecialTokens: string[];
  readonly randomIds: number[][];
  readonly randomTexts: string[];
}

const texts = fixture<string[]>('texts.json');
const KINDS = [
  'gpt2',
  'llama3',
  'qwen2',
  'deepseek',
  'smollm',
  'llama2',
  'mistral',
  'bert',
  't5',
  'clip',
  'words',
];

describe.each(KINDS)("as Hugging Face's library: %s", (name) => {
  const expected = fixture<Expected>(`${name}.expected.json`);
  const tokenizer = fixtureTokenizer(name);

  it('encodes', () => {
    const encoded = texts.map((text) => [text, [...tokenizer.encode(text)]]);
    expect(encoded).toEqual(texts.map((text, i) => [text, expected.ids[i]]));
  });

  it('encodes without special tokens', () => {
    const encoded = texts.map((text) => [text, [...tokenizer.encode(text, { addSpecialTokens: false })]]);
    const wanted = texts.map((text, i) => [text, expected.withoutSpecialTokens[i] ?? expected.ids[i]]);
    expect(encoded).toEqual(wanted);
  });

  it('decodes', () => {
    expect(expected.ids.map((ids) => tokenizer.decode(ids))).toEqual(expected.texts);
    const skipped = expected.ids.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }));
    expect(skipped).toEqual(expected.textsWithoutSpecialTokens);
  });

  it('decodes random ids, also those without a token', () => {
    expect(expected.randomIds.map((ids) => tokenizer.decode(ids))).toEqual(expected.randomTexts);
  });

  it('is the same after saving', () => {
    const files = tokenizer.files();
    const saved = createTokenizer({
      tokenizerJson: files['tokenizer.json'],
      tokenizerConfig: files['tokenizer_config.json'],
    });
    expect(saved.fingerprint).toBe(tokenizer.fingerprint);
    expect(texts.map((text) => [...saved.encode(text)])).toEqual(expected.ids);
    expect(saved.files()).toEqual(files);
  });
});

describe('as sentencepiece, from GGUF metadata', () => {
  const { metadata, inputs, ids, texts } = fixture<{
    metadata: Record<string, unknown>;
    inputs: string[];
    ids: number[][];
    texts: string[];
  }>('sentencepiece.json');
  const tokenizer = tokenizerFromGguf(metadata);

  it('encodes', () => {
    const encoded = inputs.map((text) => [text, [...tokenizer.encode(text, { addSpecialTokens: false })]]);
    expect(encoded).toEqual(inputs.map((text, i) => [text, ids[i]]));
  });

  it('decodes', () => {
    expect(ids.map((row) => tokenizer.decode(row))).toEqual(texts);
  });
});
