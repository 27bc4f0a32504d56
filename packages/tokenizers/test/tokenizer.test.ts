import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { createTokenizer, type Tokenizer } from '../src/index.js';
import { fixture, fixtureText, fixtureTokenizer, randomNumbers, randomText } from './support.js';

const parts = (name: string) => ({
  tokenizerJson: fixture<Record<string, unknown>>(`${name}.tokenizer.json`),
});

/** The constructor of a library whose declarations do not resolve in ES modules. */
const Library = LibraryTokenizer as unknown as new (
  tokenizer: object,
  config: object,
) => { encode(text: string, options: object): { ids: number[] } };

describe('encode', () => {
  it.each(['gpt2', 'llama3', 'deepseek', 'smollm'])(
    "gives the ids of the npm library's own encoder: %s",
    (name) => {
      const tokenizer = fixtureTokenizer(name);
      const library = new Library(parts(name).tokenizerJson, {});
      const random = randomNumbers(5);
      for (let round = 0; round < 300; round++) {
        // Where they differ, ours is as the Python library: the npm one takes U+FEFF for white space and ſ for no s.
        const text = randomText(random, 1 + Math.floor(random() * 30))
          .replace(/[ſ\ufeff]/g, '')
          .toWellFormed();
        const { ids } = library.encode(text, { add_special_tokens: false });
        expect([...tokenizer.encode(text, { addSpecialTokens: false })], JSON.stringify(text)).toEqual(ids);
      }
    },
  );

  it('gives the same ids whatever it encoded before', () => {
    const random = randomNumbers(6);
    const used = fixtureTokenizer('llama3');
    for (let i = 0; i < 3000; i++) used.encode(`${randomText(random, 30)} ${i}`);
    const text = randomText(random, 4000);
    expect(used.encode(text)).toEqual(fixtureTokenizer('llama3').encode(text));
  });

  it.each(['gpt2', 'llama2', 'qwen2'])('loses nothing: %s', (name) => {
    const tokenizer = fixtureTokenizer(name);
    const random = randomNumbers(7);
    for (let round = 0; round < 200; round++) {
      const text = randomText(random, 20)
        .replace(/\s*<tool>\s*/g, '')
        .replaceAll('▁', '')
        .toWellFormed()
        .normalize('NFC');
      // `<0x41>` in a text is a byte token for vocabularies that fall back to bytes.
      const plain = name === 'llama2' ? text.replaceAll('<0x41>', '') : text;
      const ids = tokenizer.encode(plain, { addSpecialTokens: false, parseSpecialTokens: false });
      expect(tokenizer.decode(ids)).toBe(plain);
    }
  });

  it('takes half of a surrogate pair for U+FFFD', () => {
    const tokenizer = fixtureTokenizer('gpt2');
    expect(tokenizer.encode('a\ud800b\udc00')).toEqual(tokenizer.encode('a\ufffdb\ufffd'));
    expect(tokenizer.decode(tokenizer.encode('\ud83d'))).toBe('\ufffd');
  });

  it('spells special tokens when it may not parse them', () => {
    const tokenizer = fixtureTokenizer('gpt2');
    const text = 'a<|endoftext|>b';
    expect([...tokenizer.encode(text)]).toContain(0);
    const spelled = tokenizer.encode(text, { parseSpecialTokens: false });
    expect([...spelled]).not.toContain(0);
    expect(tokenizer.decode(spelled)).toBe(text);
  });

  it('handles one word of a megabyte', () => {
    const tokenizer = fixtureTokenizer('gpt2');
    const ids = tokenizer.encode('ab'.repeat(500_000));
    expect(tokenizer.decode(ids)).toBe('ab'.repeat(500_000));
  });
});

describe('tokens', () => {
  it('have bytes, of which texts consist', () => {
    const texts = fixture<string[]>('texts.json');
    for (const name of ['gpt2', 'qwen2', 'llama2']) {
      const tokenizer = fixtureTokenizer(name);
      for (const text of texts) {
        const ids = [...tokenizer.encode(text, { addSpecialTokens: false })];
        const bytes = Buffer.concat(ids.map((id) => tokenizer.tokenBytes(id))).toString();
        // SentencePiece puts a space first, which its decoder takes away.
        const decoded = tokenizer.decode(ids);
        expect([decoded, ` ${decoded}`]).toContain(bytes);
      }
    }
  });

  it('have bytes in every kind of vocabulary', () => {
    const bytesOf = (tokenizer: Tokenizer, token: string) =>
      Buffer.from(tokenizer.tokenBytes(tokenizer.idOf(token) as number)).toString('latin1');
    expect(bytesOf(fixtureTokenizer('gpt2'), 'Ġthe')).toBe(' the');
    expect(bytesOf(fixtureTokenizer('gpt2'), 'å')).toBe('\xe5');
    expect(bytesOf(fixtureTokenizer('gpt2'), '<|endoftext|>')).toBe('<|endoftext|>');
    expect(bytesOf(fixtureTokenizer('llama2'), '▁you')).toBe(' you');
    expect(bytesOf(fixtureTokenizer('llama2'), '<0xE5>')).toBe('\xe5');
    expect(bytesOf(fixtureTokenizer('bert'), '##s')).toBe('s');
    expect(bytesOf(fixtureTokenizer('bert'), 'the')).toBe(' the');
    expect(bytesOf(fixtureTokenizer('t5'), '▁the')).toBe(' the');
    expect(fixtureTokenizer('gpt2').tokenBytes(1e6)).toHaveLength(0);
  });

  it('are found by name and by id', () => {
    const tokenizer = fixtureTokenizer('qwen2');
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      expect(tokenizer.idOf(tokenizer.tokenOf(id) as string)).toBe(id);
    }
    expect(tokenizer.tokenOf(tokenizer.vocabularySize)).toBeUndefined();
    expect(tokenizer.idOf('no such token')).toBeUndefined();
    expect(tokenizer.specialTokens.map(({ content }) => content)).toEqual(['<|endoftext|>', '<|im_start|>']);
    expect(tokenizer.addedTokens).toHaveLength(4);
  });
});

describe('configuration', () => {
  const config = (tokenizerConfig: object, more: object = {}) =>
    createTokenizer({ ...parts('gpt2'), tokenizerConfig, ...more });

  it('names the special tokens', () => {
    const tokenizer = config({
      bos_token: { content: '<|endoftext|>' },
      eos_token: '<|im_start|>',
      pad_token: null,
    });
    expect([tokenizer.bosId, tokenizer.eosIds, tokenizer.padId]).toEqual([0, [1], undefined]);
    expect(tokenizer.namedTokens).toEqual({ bos_token: '<|endoftext|>', eos_token: '<|im_start|>' });
  });

  it('adds the ends of generation_config.json, and names of special_tokens_map.json', () => {
    const generationConfig = { eos_token_id: [1, 0, 7], pad_token_id: 0 };
    const specialTokensMap = { eos_token: '<|im_start|>', bos_token: '<|endoftext|>' };
    const tokenizer = config({ bos_token: '<|im_start|>' }, { generationConfig, specialTokensMap });
    expect([tokenizer.bosId, tokenizer.eosIds, tokenizer.padId]).toEqual([1, [1, 0, 7], 0]);
  });

  it('makes every named token one that is found whole', () => {
    const plain = createTokenizer(parts('gpt2'));
    const text = 'nation new';
    const named = config({ pad_token: 'nation', additional_special_tokens: ['new'] });
    expect(plain.encode(text).length).toBeGreaterThan(3);
    const size = plain.vocabularySize;
    expect([...named.encode(text)]).toEqual([size, named.idOf('Ġ'), size + 1]);
    expect(named.isSpecial(size)).toBe(true);
  });

  it('takes added tokens with their flags', () => {
    const added_tokens_decoder = {
      480: { content: '<x>', lstrip: true, special: false },
      0: { content: '<|endoftext|>', special: true },
    };
    const tokenizer = config({ added_tokens_decoder });
    expect([...tokenizer.encode('a  <x>')]).toEqual([tokenizer.idOf('a'), 480]);
  });

  it.each([
    ['LlamaTokenizerFast', { add_bos_token: true }, [0, 79]],
    ['LlamaTokenizer', { add_bos_token: false, add_eos_token: true }, [79, 1]],
    ['GPTNeoXTokenizer', { add_eos_token: true }, [79, 1]],
    ['PreTrainedTokenizerFast', { add_bos_token: true }, [79]],
  ])('of %s decides with %j what is added', (tokenizer_class, flags, ids) => {
    const named = { bos_token: '<|endoftext|>', eos_token: '<|im_start|>', tokenizer_class };
    const tokenizer = config({ ...named, ...flags });
    const letter = tokenizer.idOf('a') as number;
    expect([...tokenizer.encode('a')]).toEqual(ids.map((id) => (id === 79 ? letter : id)));
    // It survives saving for readers that go by tokenizer.json alone.
    const saved = createTokenizer({ tokenizerJson: tokenizer.files()['tokenizer.json'] });
    expect(saved.encode('a')).toEqual(tokenizer.encode('a'));
  });

  it('cleans up the text of WordPiece, not of BPE', () => {
    const clean = { clean_up_tokenization_spaces: true };
    const bert = createTokenizer({ ...parts('bert'), tokenizerConfig: clean });
    expect(
      bert.decode(bert.encode("the nation's, we can not ' do ' this."), { skipSpecialTokens: true }),
    ).toBe("the nation's, we can not'do'this.");
    expect(config(clean).decode(config(clean).encode('a , b'))).toBe('a , b');
  });
});

describe('fingerprint', () => {
  it('counts what decides ids, and nothing else', () => {
    const json = parts('llama3').tokenizerJson as Record<string, never>;
    const model = json.model as { merges: string[] };
    const of = (change: object, tokenizerConfig: object = {}) =>
      createTokenizer({ tokenizerJson: { ...json, ...change }, tokenizerConfig }).fingerprint;
    const base = of({});
    expect(base).toMatch(/^[0-9a-f]{64}$/);
    expect(of({ truncation: null, padding: { direction: 'Right' } })).toBe(base);
    expect(of({}, { chat_template: 'x', model_max_length: 7 })).toBe(base);
    expect(of(Object.fromEntries(Object.entries(json).reverse()))).toBe(base);
    const [first, second, ...rest] = model.merges;
    expect(of({ model: { ...model, merges: [second, first, ...rest] } })).not.toBe(base);
    expect(of({ post_processor: null })).not.toBe(base);
    expect(of({ normalizer: { type: 'NFC' } })).not.toBe(base);
    expect(of({ added_tokens: [] })).not.toBe(base);
    expect(createTokenizer({ tokenizerJson: fixtureText('gpt2.tokenizer.json') }).fingerprint).not.toBe(base);
  });
});
