import { ArgumentError, noGrad, scope } from '@frugal/tensor-core';
import {
  type BatchOptions,
  type Draft,
  draftModel,
  type GeneratedToken,
  type GenerationRequest,
  generate,
  generateBatch,
  promptLookup,
} from '@frugal/tensor-core/generation';
import { stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, describe, expect, it } from 'vitest';
import { createModel } from '../src/index.js';

const config = (layers: number) => ({
  architectures: ['LlamaForCausalLM'],
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: layers,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 40,
  max_position_embeddings: 128,
  tie_word_embeddings: true,
});
const model = createModel(config(2), { seed: 4 });
const small = createModel(config(1), { seed: 4 });
afterAll(() => {
  model.dispose();
  small.dispose();
});

const prompts = [[1, 2, 3, 1, 2], [7], Array.from({ length: 21 }, (_, i) => (i * 5) % 40)];
const sampled = { temperature: 1.3, seed: 11, topP: 0.95 };

async function collect(requests: GenerationRequest[], options?: BatchOptions): Promise<GeneratedToken[][]> {
  const texts: GeneratedToken[][] = requests.map(() => []);
  for await (const token of generateBatch(model, requests, options)) texts[token.request].push(token);
  return texts;
}
const ids = (tokens: readonly GeneratedToken[]) => tokens.map(({ id }) => id);

async function alone(request: GenerationRequest): Promise<number[]> {
  const tokens: number[] = [];
  for await (const id of generate(model, request.prompt, request)) tokens.push(id);
  return tokens;
}

/** Guesses right and wrong, by chance: knows the text that comes. */
function scripted(truth: readonly number[], prompt: readonly number[], rightOdds: number): Draft {
  let state = 3;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return {
    open: () => ({
      propose: (tokens, count) => {
        const done = tokens.length - prompt.length;
        return truth.slice(done, done + count).map((id) => (draw() < rightOdds ? id : (id + 1) % 40));
      },
      close: () => {},
    }),
    dispose: () => {},
  };
}

describe('generateBatch', () => {
  it.each([
    ['greedy', {}],
    ['sampled', sampled],
    ['penalized', { ...sampled, repetitionPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: 0.2 }],
  ])('gives each text the tokens it gets alone: %s', async (_, sampling) => {
    const requests = prompts.map((prompt, i) => ({ prompt, maxTokens: 12 + i, ...sampling, stopIds: [9] }));
    const together = await collect(requests, { prefillChunk: 8 });
    for (const [i, request] of requests.entries()) expect(ids(together[i])).toEqual(await alone(request));
  });

  it('ends single texts: by stop id, by length, by signal', async () => {
    const [text] = await collect([{ prompt: prompts[0], maxTokens: 20 }]);
    const stop = text[3].id;
    const controller = new AbortController();
    const requests = [
      { prompt: prompts[0], maxTokens: 20, stopIds: [stop] },
      { prompt: prompts[1], maxTokens: 5 },
      { prompt: prompts[2], maxTokens: 90, signal: controller.signal },
    ];
    const counts = [0, 0, 0];
    let last = -1;
    for await (const { request, id } of generateBatch(model, requests)) {
      if (request === 0) last = id;
      if (++counts[request] === 7 && request === 2) controller.abort();
    }
    expect(last).toBe(stop);
    expect(counts).toEqual([ids(text).indexOf(stop) + 1, 5, 7]);
  });

  it('reports log probabilities of the plain distribution', async () => {
    const requests = [
      { prompt: prompts[0], maxTokens: 3, temperature: 0, logitBias: { 5: 100 }, logprobs: 40 },
    ];
    const [[first]] = await collect(requests);
    expect(first.id).toBe(5);
    const { top = [], logprob } = first.logprobs ?? {};
    expect(top.reduce((sum, entry) => sum + Math.exp(entry.logprob), 0)).toBeCloseTo(1, 5);
    expect(logprob).toBe(top.find(({ id }) => id === 5)?.logprob);
    expect(logprob).toBeLessThan(top[0].logprob);
  });

  it('refuses what cannot be done', async () => {
    const refused = async (request: Partial<GenerationRequest>, message: string) => {
      const run = collect([{ prompt: [1], maxTokens: 3, ...request }]);
      await expect(run).rejects.toThrow(ArgumentError);
      await expect(run).rejects.toThrow(message);
    };
    await refused({ prompt: [] }, 'the prompt is empty');
    await refused({ maxTokens: 0 }, 'maxTokens out of range');
    await refused({ maxTokens: 128 }, 'do not fit into the context: got 1 + 128 tokens');
    await refused({ logitBias: { 40: 1 } }, 'logitBias has an unknown token id: got 40; expected 0 to 39');
    await refused({ repetitionPenalty: 0 }, 'repetitionPenalty out of range');
    await refused({ logprobs: -1 }, 'logprobs out of range');
    await expect(collect([{ prompt: [40], maxTokens: 1 }])).rejects.toThrow('token id out of range');
  });
});

describe('drafts', () => {
  const samplings: [string, object][] = [
    ['greedy', {}],
    ['sampled', sampled],
    ['sampled with penalties', { ...sampled, repetitionPenalty: 1.2, presencePenalty: 0.5 }],
  ];
  const texts = (sampling: object) => prompts.map((prompt) => ({ prompt, maxTokens: 40, ...sampling }));

  it.each(samplings)('never change the text: %s', async (_, sampling) => {
    const expected = (await collect(texts(sampling))).map(ids);
    for (const draft of [promptLookup(), promptLookup({ longest: 1, shortest: 1 }), draftModel(small)]) {
      for (const draftTokens of [1, 8]) {
        const found = await collect(texts(sampling), { draft, draftTokens, prefillChunk: 7 });
        expect(found.map(ids)).toEqual(expected);
      }
    }
  });

  it.each([0, 0.5, 0.9, 1])('take what is right and drop the rest: right with odds %d', async (odds) => {
    const request = { prompt: prompts[2], maxTokens: 60, ...sampled };
    const [truth] = await collect([request]);
    const [found] = await collect([request], { draft: scripted(ids(truth), prompts[2], odds) });
    expect(ids(found)).toEqual(ids(truth));
    const guessed = found.filter((token) => token.guessed).length;
    if (odds === 0) expect(guessed).toBe(0);
    else expect(guessed).toBeGreaterThan(odds === 1 ? 50 : 8);
  });

  it('that are the model itself guess everything, also when sampling', async () => {
    const requests = texts(sampled);
    const found = await collect(requests, { draft: draftModel(model) });
    for (const text of found) {
      const guessed = text.filter((token) => token.guessed).length;
      // Each step has one token that nobody guessed: the one after the guesses.
      expect(guessed).toBeGreaterThanOrEqual(32);
    }
  });

  it('may know fewer or more tokens than the model', async () => {
    const expected = (await collect(texts({}))).map(ids);
    for (const vocab_size of [24, 56]) {
      const other = createModel({ ...config(1), vocab_size }, { seed: 2 });
      expect((await collect(texts({}), { draft: draftModel(other) })).map(ids)).toEqual(expected);
      other.dispose();
    }
  });

  it('follow the distribution of the model', async () => {
    const sampling = { temperature: 0.7, topK: 4 };
    const draws = 2000;
    const requests = Array.from({ length: draws }, (_, seed) => ({
      prompt: [3, 4],
      maxTokens: 2,
      ...sampling,
      seed,
    }));
    const counts = new Array<number>(40).fill(0);
    for (const [, { id }] of await collect(requests, { draft: draftModel(small) })) counts[id] += 1 / draws;
    const expected = new Array<number>(40).fill(0);
    for (const [a, pa] of await oddsAfter([3, 4]))
      for (const [b, pb] of await oddsAfter([3, 4, a])) expected[b] += pa * pb;
    // Half the L1 distance; 2,000 draws of 16 outcomes stray by about 0.03.
    const distance = counts.reduce((sum, share, id) => sum + Math.abs(share - expected[id]) / 2, 0);
    expect(distance).toBeLessThan(0.05);
  });
});

/** The four most likely tokens and their odds at temperature 0.7. */
async function oddsAfter(tokens: number[]): Promise<[number, number][]> {
  const logits = await scope(() =>
    noGrad(() => model.forward(stepBatch([tokens], { vocabularySize: 40, logits: 'last' })).logits()),
  ).toFloat32();
  const best = [...logits.entries()].sort((a, b) => b[1] - a[1]).slice(0, 4);
  const weights = best.map(([, logit]) => Math.exp(logit / 0.7));
  const total = weights.reduce((a, b) => a + b);
  return best.map(([id], i) => [id, weights[i] / total]);
}
