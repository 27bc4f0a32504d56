import { describe, expect, it } from 'vitest';
import { chatTemplate, createTokenizer, TokenizerFileError, tokenizerFromGguf } from '../src/index.js';
import { fixture, fixtureTokenizer } from './support.js';

const texts = fixture<string[]>('texts.json');
const sentencepiece = () => fixture<{ metadata: Record<string, unknown> }>('sentencepiece.json').metadata;

/** The metadata that llama.cpp's converter would write for a byte-level tokenizer. */
function byteLevelMetadata(name: string, pre: string): Record<string, unknown> {
  const { model } = fixture<{ model: { vocab: Record<string, number>; merges: string[][] } }>(
    `${name}.tokenizer.json`,
  );
  const tokens = Object.keys(model.vocab).sort((a, b) => model.vocab[a] - model.vocab[b]);
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': pre,
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': Int32Array.from(tokens, (_, id) => (id < 2 ? 3 : 1)),
    'tokenizer.ggml.merges': model.merges.map((pair) => pair.join(' ')),
    'tokenizer.ggml.bos_token_id': 0,
    'tokenizer.ggml.eos_token_id': 1,
  };
}

describe('tokenizerFromGguf', () => {
  it.each([
    ['gpt2', 'gpt-2'],
    ['gpt2', 'default'],
    ['smollm', 'smollm'],
    ['deepseek', 'deepseek-v3'],
  ])('gives the ids of the tokenizer.json %s for the pre-tokenizer %s', (name, pre) => {
    const tokenizer = tokenizerFromGguf(byteLevelMetadata(name, pre));
    const original = fixtureTokenizer(name);
    for (const text of texts) expect(tokenizer.encode(text)).toEqual(original.encode(text));
  });

  it('adds BOS and takes words whole, as llama.cpp does for Llama 3', () => {
    const metadata = byteLevelMetadata('llama3', 'llama-bpe');
    const tokenizer = tokenizerFromGguf(metadata);
    for (const text of texts) expect(tokenizer.encode(text)).toEqual(fixtureTokenizer('llama3').encode(text));
    const without = tokenizerFromGguf({ ...metadata, 'tokenizer.ggml.add_bos_token': false });
    expect([...without.encode('')]).toEqual([]);
    // A token that no merge makes is found as a word.
    const merges = (metadata['tokenizer.ggml.merges'] as string[]).filter((merge) => !/^Ġ t$/.test(merge));
    const pruned = tokenizerFromGguf({ ...metadata, 'tokenizer.ggml.merges': merges });
    expect([...pruned.encode(' t')]).toEqual([0, pruned.idOf('Ġt')]);
  });

  it('composes characters for Qwen', () => {
    const tokenizer = tokenizerFromGguf(byteLevelMetadata('qwen2', 'qwen2'));
    expect(tokenizer.encode('e\u0301')).toEqual(tokenizer.encode('é'));
  });

  it.each(['deepseek-llm', 'deepseek-coder', 'tekken', 'gpt-4o', 'llama4'])(
    'knows the pre-tokenizer %s',
    (pre) => {
      const tokenizer = tokenizerFromGguf(byteLevelMetadata('gpt2', pre));
      for (const text of texts) {
        const ids = tokenizer.encode(text, { parseSpecialTokens: false });
        expect(tokenizer.decode(ids)).toBe(text);
      }
    },
  );

  it('reads SentencePiece: space first, BOS, bytes for unknown characters', () => {
    const tokenizer = tokenizerFromGguf(sentencepiece());
    const named = (text: string) => Array.from(tokenizer.encode(text), (id) => tokenizer.tokenOf(id));
    expect(named('龘')).toEqual(['<s>', '▁', '<0xE9>', '<0xBE>', '<0x98>']);
    const ids = tokenizer.encode('龘 a<s>b');
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe('龘 a b');
    const bare = tokenizerFromGguf({
      ...sentencepiece(),
      'tokenizer.ggml.add_space_prefix': false,
      'tokenizer.ggml.add_bos_token': false,
      'tokenizer.ggml.add_eos_token': true,
    });
    expect(Array.from(bare.encode('龘'), (id) => bare.tokenOf(id)).slice(0, 1)).toEqual(['<0xE9>']);
    expect(bare.encode('龘').at(-1)).toBe(2);
    expect(bare.decode(bare.encode(' 龘'), { skipSpecialTokens: true })).toBe(' 龘');
  });

  it('is the same as tokenizer.json after saving', () => {
    for (const metadata of [sentencepiece(), byteLevelMetadata('llama3', 'llama-bpe')]) {
      const tokenizer = tokenizerFromGguf(metadata);
      const files = tokenizer.files();
      const saved = createTokenizer({
        tokenizerJson: files['tokenizer.json'],
        tokenizerConfig: files['tokenizer_config.json'],
      });
      expect(saved.fingerprint).toBe(tokenizer.fingerprint);
      // Further ends belong to the model's generation_config.json.
      expect([saved.bosId, saved.eosIds]).toEqual([tokenizer.bosId, tokenizer.eosIds.slice(0, 1)]);
      for (const text of texts) expect(saved.encode(text)).toEqual(tokenizer.encode(text));
    }
  });

  it('reads roles, ends and chat templates', () => {
    const tokenizer = tokenizerFromGguf({
      ...byteLevelMetadata('gpt2', 'gpt-2'),
      'tokenizer.ggml.eos_token_id': 1,
      'tokenizer.ggml.eot_token_id': 0n,
      'tokenizer.ggml.padding_token_id': 0,
      'tokenizer.chat_template': '{{ bos_token }}{{ messages[0].content }}',
      'tokenizer.chat_template.tool_use': 'tools',
    });
    expect([tokenizer.bosId, tokenizer.eosIds, tokenizer.padId]).toEqual([0, [1, 0], 0]);
    expect(chatTemplate(tokenizer).apply([{ role: 'user', content: 'Hi' }])).toBe('<|endoftext|>Hi');
    expect(Object.keys(tokenizer.chatTemplates)).toEqual(['default', 'tool_use']);
  });

  it.each<[string, unknown, string]>([
    ['model', 'rwkv', 'unknown kind of vocabulary: got "rwkv"; expected gpt2'],
    ['model', undefined, 'unknown kind of vocabulary: got nothing'],
    ['pre', 'new-model', 'unknown pre-tokenizer: got "new-model"; expected default, gpt-2'],
    ['tokens', undefined, 'a value is missing'],
    ['tokens', ['a', 7], 'not a string: got 7'],
    ['token_type', [1, 2], 'a list has the wrong length: got 2; expected 480'],
    ['token_type', 'x', 'expected a list of numbers'],
    ['bos_token_id', 480, 'expected an id below 480'],
    ['add_bos_token', 1, 'expected true or false'],
    ['merges', ['a b c'], 'a merge is damaged'],
    ['merges', ['a nothing'], 'a merge uses a token that is not in the vocabulary: got "nothing"'],
    ['merges', ['Ċ Ċ'], 'a merge makes a token that is not in the vocabulary'],
  ])('refuses %s = %j', (key, value, message) => {
    const metadata = { ...byteLevelMetadata('gpt2', 'gpt-2'), [`tokenizer.ggml.${key}`]: value };
    const open = () => tokenizerFromGguf(metadata, 'model.gguf');
    expect(open).toThrow(TokenizerFileError);
    expect(open).toThrow(message);
    expect(open).toThrow('[model.gguf ');
  });

  it('refuses a token that appears twice', () => {
    const open = () => tokenizerFromGguf({ 'tokenizer.ggml.tokens': ['a', 'b', 'a'] });
    expect(open).toThrow('tokens[2]] a token appears twice: got "a", which is token 0 already.');
  });

  it('needs scores for SentencePiece', () => {
    const open = () => tokenizerFromGguf({ ...sentencepiece(), 'tokenizer.ggml.scores': undefined });
    expect(open).toThrow('[GGUF tokenizer.ggml.scores] a value is missing: expected a score for each token.');
  });
});
