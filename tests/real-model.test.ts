import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint, openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { run } from '@frugal/cli';
import { tokenizerOf } from '@frugal/models';
import { type ChatMessage, chatTemplate, type Tokenizer } from '@frugal/tokenizers';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';

/** SmolLM2-135M-Instruct as a Q4_1 GGUF, beside what transformers says of the same weights in f32. */
interface Fixture {
  readonly file: string;
  readonly chats: readonly {
    readonly messages: ChatMessage[];
    readonly prompt: string;
    readonly promptIds: number[];
    readonly ids: number[];
    readonly text: string;
  }[];
  readonly encoded: readonly { readonly text: string; readonly ids: number[] }[];
  readonly score: {
    readonly context: number;
    readonly text: string;
    readonly ids: number[];
    readonly tokens: number;
    readonly nll: number;
    readonly best: number[];
    readonly margins: number[];
  };
}

const root = fileURLToPath(new URL('..', import.meta.url));
const fixture = JSON.parse(readFileSync(join(root, 'oracles/fixtures/smollm2.json'), 'utf8')) as Fixture;
const model = process.env.FRUGAL_TEST_MODEL ?? join(root, '.cache/models', fixture.file);

const missing = whyNot();

/** What is missing for these tests. */
function whyNot(): string | undefined {
  if (!existsSync(model)) return `needs ${fixture.file}: node scripts/fetch-test-model.mjs`;
  try {
    cpuBackend();
    return undefined;
  } catch (error) {
    if (error instanceof CpuBackendUnavailableError) return 'needs the native addon';
    throw error;
  }
}

beforeEach((context) => {
  if (missing) context.skip(missing);
});

const folder = await mkdtemp(join(tmpdir(), 'frugal-real-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Standard output of a command line that succeeds. */
async function frugal(...args: string[]): Promise<string> {
  let [out, err] = ['', ''];
  const code = await run([...args, '--backend', 'cpu'].slice(0, args[0] === 'inspect' ? -2 : undefined), {
    terminal: {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      input: Readable.from([]),
    },
  });
  expect(code, err).toBe(0);
  return out;
}

async function openTokenizer(): Promise<Tokenizer> {
  const checkpoint = await openCheckpoint(model);
  return tokenizerOf(checkpoint).finally(() => checkpoint.close());
}

describe('SmolLM2-135M-Instruct from GGUF', () => {
  it('has the tokenizer and the chat template that transformers reads', async () => {
    const tokenizer = await openTokenizer();
    for (const { text, ids } of [...fixture.encoded, fixture.score])
      expect([...tokenizer.encode(text, { addSpecialTokens: false })], text).toEqual(ids);
    const template = chatTemplate(tokenizer);
    for (const { messages, prompt, promptIds, ids, text } of fixture.chats) {
      expect(template.apply(messages, { addGenerationPrompt: true })).toBe(prompt);
      expect([...template.encode(messages, { addGenerationPrompt: true })]).toEqual(promptIds);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(text);
    }
  });

  it('says what it is', async () => {
    const facts = JSON.parse(await frugal('inspect', model, '--json'));
    expect(facts).toMatchObject({
      architecture: 'LlamaForCausalLM',
      parameters: 134_515_008,
      contextLength: 8192,
      vocabularySize: 49_152,
      tokenizer: { vocabularySize: 49_152, bos: '<|im_start|>', chatTemplate: true },
    });
  });

  it('answers as transformers does with the same weights', async () => {
    for (const { messages, promptIds, ids, text } of fixture.chats) {
      const [system, question] = messages.length === 1 ? [undefined, messages[0]] : [];
      if (!question) continue; // the command takes one message
      const args = [
        'generate',
        model,
        '--chat',
        '--prompt',
        question.content as string,
        '--max-tokens',
        '48',
      ];
      const precise = JSON.parse(await frugal(...args, '--precise', '--json', ...(system ?? [])));
      expect(precise).toEqual({ promptIds, ids, text });
      const drafted = await frugal(...args, '--precise', '--draft', 'lookup', '--json');
      expect(JSON.parse(drafted)).toEqual(precise);
    }
  });

  it('predicts as well as transformers does: within 0.1 % precise, 0.5 % else', async () => {
    const { text, context, tokens, nll } = fixture.score;
    const file = join(folder, 'text.txt');
    await writeFile(file, text);
    const args = ['perplexity', model, '--text', file, '--context', String(context), '--json'];
    for (const [options, tolerance] of [
      [['--precise'], 1e-3],
      [[], 5e-3],
    ] as const) {
      const result = JSON.parse(await frugal(...args, ...options));
      expect(result.tokens).toBe(tokens);
      expect(Math.abs(result.nll - nll) / nll, `${result.nll} beside ${nll}`).toBeLessThan(tolerance);
      expect(result.perplexity).toBeCloseTo(Math.exp(result.nll), 9);
      expect(result.bitsPerByte).toBeLessThan(result.nll / Math.LN2);
    }
  });

  it('finds the same most likely tokens', async () => {
    const { ids, context, best, margins } = fixture.score;
    const window = ids.slice(0, context);
    for (const [name, options] of [
      ['precise', ['--precise']],
      ['default', []],
    ] as const) {
      const out = join(folder, `${name}.safetensors`);
      await frugal('logits', model, '--ids', window.join(','), '--out', out, ...options);
      const file = await openSafetensors(out);
      const logits = toFloat32(await file.read('logits'), 'F32');
      await file.close();
      let [clear, equal, same] = [0, 0, 0];
      for (let t = 0; t + 1 < window.length; t++) {
        const row = logits.subarray(t * 49_152, (t + 1) * 49_152);
        const top = row.indexOf(row.reduce((a, b) => Math.max(a, b)));
        if (top === best[t]) same++;
        if (margins[t] <= 0.2) continue;
        clear++;
        if (top === best[t]) equal++;
      }
      expect(equal / clear, name).toBeGreaterThanOrEqual(0.99);
      if (name === 'precise') expect(same / (window.length - 1)).toBeGreaterThanOrEqual(0.99);
    }
  });
});
