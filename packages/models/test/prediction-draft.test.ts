import { expectNoLeaks, noGrad, scope } from '@frugal/tensor-core';
import {
  type Draft,
  type GenerationRequest,
  generateBatch,
  predictionDraft,
} from '@frugal/tensor-core/generation';
import { stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, describe, expect, it } from 'vitest';
import { createModel } from '../src/index.js';

/** Few tokens, so that guesses of random weights are right now and then. */
const VOCABULARY = 8;

const config = (predictions: number) => ({
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  first_k_dense_replace: 1,
  hidden_size: 24,
  intermediate_size: 32,
  kv_lora_rank: 14,
  max_position_embeddings: 128,
  moe_intermediate_size: 8,
  n_group: 2,
  n_routed_experts: 4,
  n_shared_experts: 1,
  num_attention_heads: 2,
  num_experts_per_tok: 2,
  num_hidden_layers: 2,
  num_key_value_heads: 2,
  num_nextn_predict_layers: predictions,
  q_lora_rank: null,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 6,
  topk_group: 1,
  v_head_dim: 8,
  vocab_size: VOCABULARY,
});
const model = createModel(config(1), { seed: 3 });
afterAll(() => model.dispose());

const prompts = [[1, 2, 3, 1, 2], [7], Array.from({ length: 21 }, (_, i) => (i * 5) % VOCABULARY)];

async function texts(sampling: object, draft?: Draft) {
  const requests: GenerationRequest[] = prompts.map((prompt) => ({ prompt, maxTokens: 40, ...sampling }));
  const found = requests.map(() => ({ ids: [] as number[], guessed: 0 }));
  for await (const { request, id, guessed } of generateBatch(model, requests, { draft, prefillChunk: 8 })) {
    found[request].ids.push(id);
    if (guessed) found[request].guessed++;
  }
  return found;
}

interface Guess {
  readonly token: number;
  readonly probability: number;
}

/** The first guess after a text, computed at once and without caches. */
async function guessAfter(tokens: readonly number[]): Promise<Guess> {
  const logits = scope(() =>
    noGrad(() => {
      const options = { vocabularySize: VOCABULARY };
      const { hidden } = model.forward(stepBatch([tokens.slice(0, -1)], options));
      const batch = stepBatch([tokens.slice(1)], { ...options, startPositions: [1], logits: 'last' });
      const { context } = model.begin(batch);
      const output = model.extraBlocks[0].forward(hidden, context);
      return model.head.forward(output.slice(0, tokens.length - 2, tokens.length - 1));
    }),
  );
  const values = await logits.toFloat32();
  const best = values.reduce((a, b) => Math.max(a, b));
  const sum = values.reduce((total, value) => total + Math.exp(value - best), 0);
  return { token: values.indexOf(best), probability: 1 / sum };
}

/** What a draft was asked and said first, of three texts. */
async function questions(draft: Draft): Promise<{ tokens: number[]; guess: number | undefined }[]> {
  const asked: { tokens: number[]; guess: number | undefined }[] = [];
  const watched: Draft = {
    ...draft,
    open: (text) => {
      const sequence = draft.open(text);
      return {
        observe: (collected, start) => sequence.observe?.(collected, start),
        close: () => sequence.close(),
        propose: async (tokens, count) => {
          const guesses = await sequence.propose(tokens, count);
          if (tokens.length > 1) asked.push({ tokens: [...tokens], guess: guesses[0] });
          return guesses;
        },
      };
    },
  };
  await expectNoLeaks(() => texts({}, watched));
  return asked;
}

describe('predictionDraft', () => {
  it.each([
    ['greedy', {}],
    ['sampled', { temperature: 1.5, seed: 4 }],
  ])('changes no text, and some guesses are right: %s', async (_, sampling) => {
    const plain = await texts(sampling);
    const drafted = await texts(sampling, predictionDraft(model, { confidence: 0 }));
    expect(drafted.map(({ ids }) => ids)).toEqual(plain.map(({ ids }) => ids));
    expect(drafted.reduce((sum, { guessed }) => sum + guessed, 0)).toBeGreaterThan(3);
  });

  it('guesses what the block says of the whole text', async () => {
    const asked = await questions(predictionDraft(model, { confidence: 0 }));
    expect(asked.length).toBeGreaterThan(20);
    for (const { tokens, guess } of asked) expect(guess).toBe((await guessAfter(tokens)).token);
  });

  it('guesses only what the block is sure of, and changes no text', async () => {
    const plain = await texts({});
    const everything = await questions(predictionDraft(model, { confidence: 0 }));
    const sure = await Promise.all(
      everything.map(async ({ tokens }) => (await guessAfter(tokens)).probability),
    );
    const confidence = sure.sort((a, b) => a - b)[Math.floor(sure.length / 2)];
    const asked = await questions(predictionDraft(model, { confidence }));
    const made = asked.filter(({ guess }) => guess !== undefined).length;
    expect(made).toBeGreaterThan(asked.length / 4);
    expect(made).toBeLessThan((asked.length * 3) / 4);
    for (const { tokens, guess } of asked) {
      const { token, probability } = await guessAfter(tokens);
      if (Math.abs(probability - confidence) < 1e-5) continue; // rounding decides
      expect(guess).toBe(probability > confidence ? token : undefined);
    }
    const drafted = await texts({}, predictionDraft(model, { confidence }));
    expect(drafted.map(({ ids }) => ids)).toEqual(plain.map(({ ids }) => ids));
  });

  it.each([-0.1, 1.1, Number.NaN])('refuses a confidence of %s', (confidence) => {
    expect(() => predictionDraft(model, { confidence })).toThrow('confidence out of range');
  });

  it('refuses a model without such blocks', () => {
    const other = createModel(config(0), { seed: 3 });
    expect(() => predictionDraft(other)).toThrow('no blocks for multi-token prediction');
    other.dispose();
  });
});
