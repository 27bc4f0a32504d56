import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint } from '@frugal/checkpoint';
import { loadModel, tokenizerOf } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import {
  type Draft,
  draftModel,
  generateBatch,
  predictionDraft,
  promptLookup,
} from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { type ChatTemplate, chatTemplate } from '@frugal/tokenizers';
import { type Row, report } from '../shared/result.js';
import { regularModels, regularText } from './regular-models.js';

/**
 * Decoding with and without guesses, in turns, greedy, one stream: prompt lookup with SmolLM2-135M-Instruct (Q4_1), and with a model
 * trained on regular text (see regular-models.ts) its prediction block (at most 3 guesses in
 * a row, as it was trained for one; also beside itself with guesses that it is not sure of), a smaller model and prompt lookup:
 *   npm run bench -- drafts [--json FILE]
 * SmolLM2 is FRUGAL_TEST_MODEL, or what scripts/fetch-test-model.mjs brought.
 */
const TURNS = 9;
const NEW_TOKENS = 128;
const file =
  process.env.FRUGAL_TEST_MODEL ??
  join(import.meta.dirname, '../../../.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf');

const PASSAGE =
  'Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in Liberty, ' +
  'and dedicated to the proposition that all men are created equal. Now we are engaged in a great civil war, testing ' +
  'whether that nation, or any nation so conceived and so dedicated, can long endure.';

const QUESTIONS: Readonly<Record<string, string>> = {
  'quotes the prompt': `Repeat this text word by word:\n\n${PASSAGE}`,
  'a list that repeats':
    'List the numbers from one to forty, each as "Item N: the number N is written here."',
  'free text': 'Tell me about the history of sailing ships.',
};

interface Run {
  readonly tokensPerSecond: number;
  readonly ids: readonly number[];
  readonly guessed: number;
}

async function decode(
  model: CausalLM,
  prompt: ArrayLike<number>,
  draft?: Draft,
  draftTokens = 12,
): Promise<Run> {
  const ids: number[] = [];
  let guessed = 0;
  let first = 0;
  for await (const token of generateBatch(model, [{ prompt, maxTokens: NEW_TOKENS }], {
    draft,
    draftTokens,
  })) {
    if (ids.length === 0) first = performance.now();
    ids.push(token.id);
    if (token.guessed) guessed++;
  }
  return { ids, guessed, tokensPerSecond: ((ids.length - 1) * 1000) / (performance.now() - first) };
}

async function compare(
  name: string,
  model: CausalLM,
  prompt: ArrayLike<number>,
  draft: Draft = promptLookup(),
  draftTokens?: number,
  other?: Draft,
): Promise<Row> {
  const peer = other ? 'with guesses it is not sure of' : 'without a draft';
  const row: Row = { name, peer, unit: 'tok/s', ours: [], theirs: [] };
  await decode(model, prompt);
  for (let turn = 0; turn < TURNS; turn++) {
    const plain = await decode(model, prompt, other, draftTokens);
    const drafted = await decode(model, prompt, draft, draftTokens);
    if (plain.ids.join() !== drafted.ids.join()) throw new Error(`[${name}] the draft changed the text.`);
    (row.ours as number[]).push(drafted.tokensPerSecond);
    (row.theirs as number[]).push(plain.tokensPerSecond);
    if (turn === 0) console.log(`${name}: ${drafted.guessed} of ${drafted.ids.length} tokens guessed`);
  }
  return row;
}

async function smollm2(): Promise<Row[]> {
  if (!existsSync(file)) {
    console.log(`skipped: there is no ${file}; node scripts/fetch-test-model.mjs brings it`);
    return [];
  }
  const model = await loadModel(file);
  const checkpoint = await openCheckpoint(file);
  const template: ChatTemplate = chatTemplate(await tokenizerOf(checkpoint));
  await checkpoint.close();
  const rows: Row[] = [];
  for (const [name, content] of Object.entries(QUESTIONS)) {
    const prompt = template.encode([{ role: 'user', content }], { addGenerationPrompt: true });
    rows.push(await compare(`SmolLM2, prompt lookup: ${name}`, model, prompt));
  }
  model.dispose();
  return rows;
}

async function regular(): Promise<Row[]> {
  const { tokenizer, model, small } = await regularModels();
  const prompt = tokenizer.encode(regularText(2, 77));
  const drafts = {
    'prediction block': predictionDraft(model),
    'smaller model': draftModel(small),
    'prompt lookup': promptLookup(),
  };
  const rows: Row[] = [];
  for (const [name, draft] of Object.entries(drafts))
    rows.push(
      await compare(`regular text, ${name}`, model, prompt, draft, name === 'prediction block' ? 3 : 12),
    );
  const block = drafts['prediction block'];
  const all = predictionDraft(model, { confidence: 0 });
  rows.push(await compare('regular text, prediction block', model, prompt, block, 3, all));
  return rows;
}

setBackend(cpuBackend());
report([...(await regular()), ...(await smollm2())], { newTokens: NEW_TOKENS });
