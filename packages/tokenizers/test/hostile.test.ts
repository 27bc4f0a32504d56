import { describe, expect, it } from 'vitest';
import { createTokenizer, TokenizerError, TokenizerFileError, tokenizerFromGguf } from '../src/index.js';
import { fixture, fixtureText, randomNumbers, randomText } from './support.js';

type Json = Record<string, unknown>;

const base = () => fixture<Json & { model: Json }>('llama3.tokenizer.json');
const open = (change: Json, model: Json = {}) => {
  const json = base();
  return createTokenizer({ tokenizerJson: { ...json, ...change, model: { ...json.model, ...model } } });
};
/** An object nested in itself `depth` times. */
const nested = (depth: number, wrap: (inner: object) => object): object => {
  let value: object = { type: 'NFC' };
  for (let i = 0; i < depth; i++) value = wrap(value);
  return value;
};

describe('a damaged tokenizer.json', () => {
  it('is refused with the offset where it ends', () => {
    const text = fixtureText('gpt2.tokenizer.json').trimEnd();
    const random = randomNumbers(9);
    for (let round = 0; round < 60; round++) {
      const cut = Math.floor(random() * text.length);
      const load = () => createTokenizer({ tokenizerJson: text.slice(0, cut), directory: 'models/m' });
      expect(load).toThrow(TokenizerFileError);
      expect(load).toThrow('[models/m/tokenizer.json @ ');
      expect(load).toThrow('the file is truncated');
    }
  });

  it('is refused with the offset of a wrong character', () => {
    const text = fixtureText('gpt2.tokenizer.json');
    const at = text.indexOf('"merges"');
    try {
      createTokenizer({ tokenizerJson: `${text.slice(0, at)}#${text.slice(at + 1)}` });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ name: 'TokenizerFileError', file: 'tokenizer.json', offset: at });
      expect((error as Error).message).toContain('the file is not JSON: got "#merges');
    }
  });

  it.each<[string, unknown, string]>([
    ['[]', [], 'expected an object'],
    ['null', null, '[tokenizer.json] a value is missing: got null; expected an object'],
    ['a number', 7, 'expected an object'],
    ['an empty object', {}, '[tokenizer.json model] a value is missing'],
  ])('is refused when it is %s', (_, value, message) => {
    expect(() => createTokenizer({ tokenizerJson: JSON.stringify(value) })).toThrow(message);
  });

  it.each<[string, Json, Json, string]>([
    ['unknown model', {}, { type: 'Magic' }, '[tokenizer.json model.type] unknown kind of model: got Magic'],
    ['no vocabulary', {}, { vocab: undefined }, 'model.vocab] a value is missing'],
    ['vocabulary as list', {}, { vocab: [1] }, 'model.vocab] a value has the wrong type: got a list of 1'],
    ['fractional id', {}, { vocab: { a: 1.5 } }, 'an id is no integer from 0: got 1.5'],
    ['negative id', {}, { vocab: { a: -1 } }, 'got -1'],
    ['id as text', {}, { vocab: { a: '1' } }, 'got "1"'],
    ['huge id', {}, { vocab: { a: 2 ** 31 } }, 'an id is far beyond the vocabulary: got 2147483648'],
    [
      'two tokens, one id',
      {},
      { vocab: { a: 1, b: 1 } },
      'two tokens have the same id: got 1 for "a" and "b"',
    ],
    ['no merges', {}, { merges: undefined }, 'model.merges] a value is missing'],
    ['merge of three', {}, { merges: ['a b c'] }, 'model.merges[0]] a merge is damaged: got "a b c"'],
    [
      'merge of numbers',
      {},
      { merges: [[1, 2]] },
      'a merge uses a token that is not in the vocabulary: got 1',
    ],
    ['unknown half', {}, { merges: ['Ġ t', 'a ΩΩ'] }, 'model.merges[1]] a merge uses a token that is not in'],
    [
      'unknown whole',
      {},
      { merges: ['Q Z'] },
      'a merge makes a token that is not in the vocabulary: got "QZ"',
    ],
    [
      'added token without name',
      { added_tokens: [{ id: 0 }] },
      {},
      'added_tokens[0].content] a value is missing',
    ],
    ['added token at a far id', { added_tokens: [{ id: 1e9, content: 'x' }] }, {}, 'far beyond'],
    [
      'added token at a taken id',
      { added_tokens: [{ id: 5, content: 'xyz' }] },
      {},
      'two tokens have the same id: got 5',
    ],
    [
      'unknown normalizer',
      { normalizer: { type: 'Q' } },
      {},
      'normalizer] unknown or damaged normalizer: got Q',
    ],
    [
      'unknown pre-tokenizer',
      { pre_tokenizer: { type: 'Q' } },
      {},
      'pre_tokenizer] unknown pre-tokenizer: got Q',
    ],
    ['unknown decoder', { decoder: { type: 'Q' } }, {}, 'decoder] unknown decoder: got Q'],
    ['unknown post-processor', { post_processor: { type: 'Q' } }, {}, 'unknown post-processor: got Q'],
    ['component without type', { decoder: {} }, {}, '[tokenizer.json decoder.type] a value is missing'],
    [
      'bad pattern',
      { pre_tokenizer: { type: 'Split', behavior: 'Isolated', pattern: { Regex: '(' } } },
      {},
      'cannot be compiled: got (',
    ],
    [
      'bad behavior',
      { pre_tokenizer: { type: 'Split', behavior: 'Eaten', pattern: { String: ' ' } } },
      {},
      'unknown behavior: got eaten',
    ],
    [
      'deep normalizer',
      { normalizer: nested(40, (n) => ({ type: 'Sequence', normalizers: [n] })) },
      {},
      'nested too deeply',
    ],
    [
      'deep decoder',
      { decoder: nested(40, (n) => ({ type: 'Sequence', decoders: [n] })) },
      {},
      'nested too deeply',
    ],
    [
      'template with an unknown token',
      {
        post_processor: {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: '<q>' } }],
          special_tokens: {},
        },
      },
      {},
      'a template uses an unknown token: got "<q>"',
    ],
  ])('is refused: %s', (_, change, model, message) => {
    expect(() => open(change, model)).toThrow(TokenizerFileError);
    expect(() => open(change, model)).toThrow(message);
  });

  it('of other kinds is refused as well', () => {
    const change = (name: string, model: Json) => {
      const json = fixture<Json & { model: Json }>(`${name}.tokenizer.json`);
      return () => createTokenizer({ tokenizerJson: { ...json, model: { ...json.model, ...model } } });
    };
    expect(change('t5', { vocab: [['a']] })).toThrow('model.vocab[0]] an entry is damaged: got a list of 1');
    expect(change('t5', { vocab: [] })).toThrow('the vocabulary is empty');
    expect(change('t5', { unk_id: 1e6 })).toThrow('the unknown token is not in the vocabulary');
    expect(
      change('t5', {
        vocab: [
          ['a', 0],
          ['a', 1],
        ],
        unk_id: 0,
      }),
    ).toThrow('a token appears twice: got "a"');
    expect(change('bert', { unk_token: undefined })).toThrow('model.unk_token] a value is missing');
    expect(change('bert', { continuing_subword_prefix: 3 })).toThrow(
      'continuing_subword_prefix] a value has the wrong type',
    );
  });

  it('keeps tokens with the names of properties', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '7'];
    const vocab = JSON.parse(`{${names.map((name, id) => `"${name}":${id}`).join(',')}}`);
    const words = createTokenizer({
      tokenizerJson: {
        model: { type: 'WordLevel', vocab, unk_token: '7' },
        pre_tokenizer: { type: 'WhitespaceSplit' },
      },
    });
    expect([...words.encode('constructor __proto__ valueOf toString')]).toEqual([1, 0, 4, 2]);
    const saved = createTokenizer({ tokenizerJson: words.files()['tokenizer.json'] });
    expect([...saved.encode('constructor __proto__ valueOf toString')]).toEqual([1, 0, 4, 2]);
  });
});

it('opens or refuses whatever is changed in a file, and never fails otherwise', () => {
  const random = randomNumbers(10);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const values = [
    null,
    true,
    -1,
    0,
    1.5,
    1e9,
    '',
    'x',
    '▁',
    [],
    [null],
    {},
    { type: 'Sequence' },
    { String: '' },
    { Regex: '' },
  ];
  const outcomes = { opened: 0, refused: 0 };
  for (const name of ['llama3', 'llama2', 'bert', 't5', 'clip', 'words', 'qwen2']) {
    const text = fixtureText(`${name}.tokenizer.json`);
    for (let round = 0; round < 80; round++) {
      const json = JSON.parse(text) as Json;
      let place: Json = json;
      // Down a random path, then one value is replaced or removed.
      for (;;) {
        const keys = Object.keys(place);
        const key = pick(keys);
        const value = place[key];
        if (typeof value === 'object' && value !== null && Object.keys(value).length > 0 && random() < 0.8)
          place = value as Json;
        else {
          if (random() < 0.2) delete place[key];
          else place[key] = pick(values);
          break;
        }
      }
      try {
        const tokenizer = createTokenizer({ tokenizerJson: JSON.stringify(json) });
        tokenizer.decode(tokenizer.encode(randomText(random, 10)));
        outcomes.opened++;
      } catch (error) {
        expect(error, JSON.stringify(json).slice(0, 300)).toBeInstanceOf(TokenizerError);
        outcomes.refused++;
      }
    }
  }
  expect(outcomes.opened).toBeGreaterThan(50);
  expect(outcomes.refused).toBeGreaterThan(50);
});

it('opens or refuses whatever GGUF metadata holds', () => {
  const random = randomNumbers(11);
  const { metadata } = fixture<{ metadata: Json }>('sentencepiece.json');
  const values = [null, true, -1, 1e9, 'x', [], [7], {}, new Float32Array(3), 5n];
  for (const key of Object.keys(metadata)) {
    for (const value of values) {
      try {
        tokenizerFromGguf({ ...metadata, [key]: value }).encode(randomText(random, 10));
      } catch (error) {
        expect(error, `${key} ${String(value)}`).toBeInstanceOf(TokenizerFileError);
      }
    }
  }
});
