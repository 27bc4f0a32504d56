import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChatMessage, chatTemplate, createTokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { afterAll, describe, expect, it } from 'vitest';
import { chatExample, ExampleSampler, encodeChat, readTuningData, type TokenExample } from '../src/index.js';

interface Masks {
  readonly template: string;
  readonly endOfTurn: string;
  readonly tokenizer: object;
  readonly cases: { messages: ChatMessage[]; ids: number[]; assistant: number[] }[];
}

const masks: Masks = JSON.parse(
  readFileSync(new URL('../../../oracles/fixtures/chat-masks.json', import.meta.url), 'utf8'),
);
const tokenizer = createTokenizer({ tokenizerJson: JSON.stringify(masks.tokenizer) });
const encode = (messages: ChatMessage[], source = masks.template) =>
  encodeChat({ id: 'x', messages }, tokenizer, chatTemplate(tokenizer, { source }));

/** The tokens that are learned, in order. */
const learned = ({ targets }: TokenExample) => [...targets].filter((target) => target !== -100);
const textOf = (example: TokenExample) => tokenizer.decode(learned(example));

describe('encodeChat', () => {
  it.each(masks.cases)('learns the tokens that transformers says are of the assistant (%#)', (each) => {
    const [{ tokens, targets }] = encode(each.messages);
    expect([...tokens]).toEqual(each.ids.slice(0, tokens.length));
    const expected = each.ids.map((id, i) => (each.assistant[i] ? id : -100));
    // What follows the last answer is left out; a target stands one place before its token.
    expect([...targets].slice(0, -1)).toEqual(expected.slice(1, tokens.length));
    expect(expected.slice(tokens.length).every((id) => id === -100)).toBe(true);
    expect(targets.at(-1)).toBe(-100);
  });

  it('makes a sequence of each answer where a template rewrites earlier ones', () => {
    const rewritten = masks.template.replace(
      "{{ message['content']",
      "{{ ('<t>' if loop.last else '') + message['content']",
    );
    expect(rewritten).not.toBe(masks.template);
    const examples = encode(masks.cases[1].messages, rewritten);
    expect(examples.map(textOf)).toEqual(['<t>你好！有什么可以帮你？<|im_end|>', '<t>Yes 🙂<|im_end|>']);
    expect(tokenizer.decode(examples[1].tokens)).toContain('\n你好！');
  });

  it('ends answers of templates that end no turn', () => {
    const plain = trainByteLevelBpe(['ab'], { vocabularySize: 258, specialTokens: ['<|endoftext|>'] });
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ];
    const [{ tokens, targets }] = encodeChat({ id: 'x', messages }, plain, chatTemplate(plain));
    expect(tokens.at(-1)).toBe(plain.eosIds[0]);
    expect(targets.at(-2)).toBe(plain.eosIds[0]);
    expect(plain.decode([...targets].filter((target) => target >= 0))).toBe('\nb<|endoftext|>');
  });
});

const question = { role: 'user', content: 'Q' };
const answer = { role: 'assistant', content: 'A' };
const read = (value: unknown) => chatExample({ place: 'file:3', value });

describe('chatExample', () => {
  it.each([
    ['messages', { messages: [question, answer] }, [question, answer]],
    ['texts', { prompt: 'Q', completion: 'A' }, [question, answer]],
    ['lists', { prompt: [question], completion: [answer] }, [question, answer]],
    ['Alpaca', { instruction: 'Q', input: '', output: 'A' }, [question, answer]],
    [
      'Alpaca with all',
      { system: 'S', instruction: 'Q', input: 'I', output: 'A', history: [['q', 'a']] },
      [
        { role: 'system', content: 'S' },
        { role: 'user', content: 'q' },
        { role: 'assistant', content: 'a' },
        { role: 'user', content: 'Q\nI' },
        answer,
      ],
    ],
    [
      'ShareGPT',
      {
        conversations: [
          { from: 'human', value: 'Q' },
          { from: 'gpt', value: 'A' },
        ],
      },
      [question, answer],
    ],
  ])('reads %s', (_, value, messages) => {
    expect(read(value)).toEqual({ id: 'file:3', messages });
  });

  it.each([
    [null, /file:3\] the record is no conversation: got null/],
    [{ question: 'Q' }, /expected \{"messages"/],
    [{ messages: 'Q' }, /no list/],
    [{ messages: [question] }, /no answer to learn: got user/],
    [{ messages: [question, { role: 'assistant', content: ' ' }] }, /answers are empty/],
    [{ messages: [{ content: 'Q' }, answer] }, /no role/],
    [{ messages: [{ role: 'narrator', content: 'Q' }, answer] }, /unknown role: got narrator/],
    [{ conversations: [{ from: 'human' }, { from: 'gpt', value: 'A' }] }, /no text/],
    [{ instruction: 'Q', input: 3, output: 'A' }, /input is no text: got 3/],
    [{ prompt: 'Q', completion: 'a\ud800' }, /lone surrogate/],
  ])('refuses %j', (value, message) => {
    expect(() => read(value)).toThrow(message);
  });
});

const folder = await mkdtemp(join(tmpdir(), 'frugal-chat-'));
afterAll(() => rm(folder, { recursive: true, force: true }));
async function file(name: string, content: string): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

describe('readTuningData', () => {
  it('tells conversations from text', async () => {
    const record = JSON.stringify({ prompt: 'Q', completion: 'A' });
    const list = await file('a.json', `[${record}, ${record}]`);
    const lines = await file('b.jsonl', `${record}\n\n${record}\n`);
    const chat = await readTuningData([list, lines]);
    expect(chat.kind === 'chat' && chat.examples.map(({ id }) => id)).toEqual([
      `${list}[0]`,
      `${list}[1]`,
      `${lines}:1`,
      `${lines}:3`,
    ]);
    const texts = [await file('c.txt', 'one'), await file('d.jsonl', '{"text":"two"}')];
    const text = await readTuningData(texts);
    expect(text.kind === 'text' && text.documents.map((document) => document.text)).toEqual(['one', 'two']);
    await expect(readTuningData([texts[0], lines])).rejects.toThrow(/c\.txt\] plain text beside/);
    await expect(readTuningData([await file('e.jsonl', `${record}\n{"text":"x"}`)])).rejects.toThrow(
      /e\.jsonl:2\] the record is no conversation/,
    );
    await expect(readTuningData([await file('f.json', record)])).rejects.toThrow(/holds no list/);
  });
});

describe('ExampleSampler', () => {
  const examples = Array.from({ length: 7 }, (_, i) => ({
    tokens: Int32Array.from({ length: i + 2 }, () => i),
    targets: Int32Array.from({ length: i + 2 }, () => -i),
  }));
  const options = { batch: 3, seed: 5 };

  it('visits every example once in an epoch, in another order in the next', () => {
    const sampler = new ExampleSampler(examples, { batch: 7, seed: 5 });
    const epochs = [sampler.next(), sampler.next()].map(({ sequences }) => sequences.map(([first]) => first));
    for (const epoch of epochs) expect([...epoch].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(epochs[0]).not.toEqual(epochs[1]);
  });

  it('keeps targets beside their tokens, and continues exactly', () => {
    const one = new ExampleSampler(examples, options);
    for (let i = 0; i < 5; i++) one.next();
    const two = new ExampleSampler(examples, options);
    two.restore(JSON.parse(JSON.stringify(one.state())));
    const batch = two.next();
    expect(batch).toEqual(one.next());
    expect([...batch.targets]).toEqual(batch.sequences.flatMap((sequence) => [...sequence].map((id) => -id)));
  });

  it('refuses states of other examples or settings, and no examples', () => {
    const state = new ExampleSampler(examples, options).state();
    for (const other of [
      new ExampleSampler(examples.slice(1), options),
      new ExampleSampler(examples, { batch: 4, seed: 5 }),
    ])
      expect(() => other.restore(state)).toThrow(/not a state of this sampler/);
    expect(() => new ExampleSampler([], options)).toThrow(/no examples/);
  });
});
