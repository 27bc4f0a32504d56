import { describe, expect, it } from 'vitest';
import {
  createTokenizer,
  type Tokenizer,
  TokenizerError,
  tokenizerFromGguf,
  tokenizerToGguf,
  trainByteLevelBpe,
} from '../src/index.js';
import { fixture, fixtureText, fixtureTokenizer } from './support.js';

/** Without those for the added tokens of the fixtures that are found in odd places: GGUF cannot say where. */
const texts = fixture<string[]>('texts.json').filter((text) => !/nation|<tool>/.test(text));

function throughGguf(tokenizer: Tokenizer, rows?: number): Tokenizer {
  const fields = tokenizerToGguf(tokenizer, rows === undefined ? {} : { rows });
  return tokenizerFromGguf(
    Object.fromEntries(Object.entries(fields).map(([key, { value }]) => [key, value])),
  );
}

function expectSame(back: Tokenizer, original: Tokenizer, compared = texts): void {
  for (const text of compared) {
    expect(back.encode(text)).toEqual(original.encode(text));
    expect(back.decode(original.encode(text))).toBe(original.decode(original.encode(text)));
  }
  if (original.bosId !== undefined) expect(back.bosId).toBe(original.bosId);
  expect(back.eosIds).toEqual(expect.arrayContaining([...original.eosIds]));
}

describe('tokenizerToGguf', () => {
  it.each(['gpt2', 'smollm', 'deepseek', 'llama3', 'qwen2', 'llama2'])('keeps the ids of %s', (name) => {
    const original = fixtureTokenizer(name);
    expectSame(throughGguf(original), original);
  });

  it('keeps the ids of mistral, but for the space that llama.cpp puts before every piece', () => {
    const original = fixtureTokenizer('mistral');
    const hasSpecial = (text: string) =>
      original.encode(text, { addSpecialTokens: false }).some((id) => original.isSpecial(id));
    const compared = texts.filter((text) => !/^[ ▁]/.test(text) && !hasSpecial(text));
    expect(compared.length).toBeGreaterThan(10);
    expectSame(throughGguf(original), original, compared);
  });

  it('keeps the ids of a vocabulary trained here', () => {
    const original = trainByteLevelBpe(texts, { vocabularySize: 400 });
    expectSame(throughGguf(original), original);
  });

  it('keeps chat templates, roles and what goes around a text', () => {
    const json = fixtureText('llama3.tokenizer.json');
    const chat_template = [
      { name: 'default', template: '{{ bos_token }}x' },
      { name: 'tools', template: 'y' },
    ];
    const original = createTokenizer({
      tokenizerJson: json,
      tokenizerConfig: JSON.stringify({ chat_template, bos_token: fixtureTokenizer('llama3').tokenOf(0) }),
    });
    const back = throughGguf(original);
    expect(back.chatTemplates).toEqual(original.chatTemplates);
    expect(back.encode('a')).toEqual(original.encode('a'));
    expect(back.namedTokens.bos_token).toBe(original.namedTokens.bos_token);
  });

  it('names the rows of an embedding that have no token', () => {
    const original = fixtureTokenizer('smollm');
    const back = throughGguf(original, original.vocabularySize + 5);
    expect(back.vocabularySize).toBe(original.vocabularySize + 5);
    for (const text of texts) expect(back.encode(text)).toEqual(original.encode(text));
  });

  it('refuses what GGUF cannot say', () => {
    expect(() => tokenizerToGguf(fixtureTokenizer('t5'))).toThrow(TokenizerError);
    const json = JSON.parse(fixtureText('gpt2.tokenizer.json'));
    json.pre_tokenizer = { type: 'Whitespace' };
    const odd = createTokenizer({ tokenizerJson: JSON.stringify(json) });
    expect(() => tokenizerToGguf(odd)).toThrow(/no pre-tokenizer that cuts text/);
  });
});
