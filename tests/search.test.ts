import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compress,
  openSearchStore,
  parseRecipe,
  type Recipe,
  type SearchOptions,
  type SearchTarget,
  searchPage,
  searchRecipe,
  standardOptions,
  standardStructures,
} from '@frugal/compress';
import { perplexityScore } from '@frugal/eval';
import { createModel, loadModel, savedBytes, saveModel, skeleton } from '@frugal/models';
import { layerPruning, magnitude, sparseGptPruning } from '@frugal/prune';
import { ggufQuantization, gptqQuantization, roundToNearest } from '@frugal/quant';
import { noGrad, scope, zeros as zerosOf } from '@frugal/tensor-core';
import { type CausalLM, nextTokenBatch, type Parameter, stepBatch } from '@frugal/tensor-core/nn';
import { cosine, createOptimizer, languageModelLoss, train } from '@frugal/trainer';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { useNativeBackend } from './support/native.js';

const VOCABULARY = 48;
const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: VOCABULARY,
  max_position_embeddings: 64,
  tie_word_embeddings: false,
};

/** A walk over numbers: the next one follows from the last two, but for one in eight. */
function walks(count: number, seed: number): Int32Array[] {
  const draws = new Uint32Array(count * 32);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < draws.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    draws[i] = state >>> 8;
  }
  return Array.from({ length: count }, (_, s) => {
    const sequence = new Int32Array(32);
    for (let i = 0; i < 32; i++) {
      const draw = draws[s * 32 + i];
      const rule = i < 2 || draw % 8 === 0 ? draw : 3 * sequence[i - 1] + sequence[i - 2] + 1;
      sequence[i] = rule % VOCABULARY;
    }
    return sequence;
  });
}

const methods = [roundToNearest, gptqQuantization, ggufQuantization];
const calibration = walks(24, 2);
const score = perplexityScore(walks(32, 3));
let folder = '';
const open = () => loadModel(join(folder, 'trained'));

const isNative = useNativeBackend();
beforeEach((context) => {
  if (!isNative) context.skip('needs the native addon');
});

beforeAll(async () => {
  if (!isNative) return;
  folder = await mkdtemp(join(tmpdir(), 'frugal-search-'));
  const model = createModel(config, { seed: 1 });
  let step = 0;
  const batches = {
    next: () => nextTokenBatch(walks(16, 100 + step++)),
    state: () => step,
    restore: (state: unknown) => {
      step = state as number;
    },
  };
  const optimizer = createOptimizer({ type: 'adamw' });
  const loss = languageModelLoss(model);
  for await (const _ of train({
    model,
    batches,
    loss,
    optimizer,
    schedule: cosine({ peak: 0.01, steps: 250, warmup: 10 }),
    steps: 250,
  }));
  await saveModel(model, join(folder, 'trained'));
});
afterAll(() => (isNative ? rm(folder, { recursive: true, force: true }) : undefined));

const allMethods = [...methods, layerPruning, magnitude, sparseGptPruning];

const fewer = (name: string, path: string) => ({
  name,
  modifiers: [{ type: 'prune.layers', targets: { include: [path] }, exactly: true }],
});

function search(target: SearchTarget, more: Partial<SearchOptions> = {}) {
  const size: SearchOptions['size'] = (model, packed) => savedBytes(model, packed, 'frugal');
  return searchRecipe(open, target, { methods, calibration, score, size, probeTokens: 768, ...more });
}

/** Bytes of the weights file and the score of what a recipe makes. */
async function outcome(recipe: Recipe, name: string) {
  const { model } = await compress(await open(), recipe, { methods, calibration });
  const path = join(folder, name);
  await saveModel(model, path, { force: true, layout: 'frugal' });
  const { length } = await readFile(join(path, 'model.safetensors'));
  return { bytes: length, score: await score.evaluate(await loadModel(path)) };
}

const uniform = (format: string) =>
  parseRecipe({
    version: 1,
    seed: 0,
    stages: [
      {
        name: 'all',
        modifiers: [
          { type: 'quant.gptq', targets: { include: ['blocks.**'] }, format, actOrder: true },
          { type: 'quant.rtn', targets: { include: ['head'] }, format: 'int8-channel', activation: 'none' },
        ],
      },
    ],
  });

describe('search', () => {
  it('has a model that has learned something', async () => {
    expect(await score.evaluate(await open())).toBeLessThan(VOCABULARY / 4);
  });

  it('beats the same format everywhere at its size', async () => {
    const plain = await outcome(uniform('int3-g32'), 'uniform');
    const { recipe, chosen } = await search({ kind: 'size', bytes: plain.bytes });
    const found = await outcome(recipe, 'found');
    expect(found.bytes).toBe(chosen.bytes);
    expect(found.bytes).toBeLessThanOrEqual(plain.bytes);
    expect(found.bytes).toBeGreaterThan(0.98 * plain.bytes);
    expect(found.score).toBeLessThan(plain.score);
  });

  it('uses a limit of loss up, and no more', async () => {
    const result = await search({ kind: 'loss', share: 0.05 });
    const found = await outcome(result.recipe, 'limited');
    const growth = found.score / result.scoreBefore - 1;
    expect(growth).toBeLessThanOrEqual(0.05);
    expect(growth).toBeGreaterThanOrEqual(0.8 * 0.05);
    expect(searchPage(result)).toContain('<svg');
  });

  it('takes a layer away that does nothing, and keeps those that do something', async () => {
    const bytes = 20_000;
    const rebuild = skeleton;
    const structures = [fewer('the first', 'blocks.0'), fewer('the second', 'blocks.1')];
    // The second block adds nothing to the residual stream.
    const open = async () => {
      const model = await loadModel(join(folder, 'trained'));
      for (const path of ['blocks.1.attention.output.weight', 'blocks.1.mlp.down.weight']) {
        const parameter = [...model.namedParameters()].find(([name]) => name === path)?.[1] as Parameter;
        parameter.value = zerosOf(parameter.shape);
      }
      return model;
    };
    const size: SearchOptions['size'] = (model, packed) => savedBytes(model, packed, 'frugal');
    const options = { methods: allMethods, calibration, score, size, probeTokens: 768, rebuild };
    const target: SearchTarget = { kind: 'size', bytes };
    const plain = await searchRecipe(open, target, options);
    const result = await searchRecipe(open, target, { ...options, structures });
    expect(result.structure).toBe('the second');
    const [all, first, second] = result.structures ?? [];
    expect(all).toMatchObject({ divergence: 0, found: { chosen: plain.chosen } });
    expect(second.divergence).toBeLessThan(1e-6);
    expect(first.divergence).toBeGreaterThan(0.1);
    expect(result.chosen.predicted).toBeLessThan(plain.chosen.predicted);
    const scoreOf = async (recipe: Recipe) => {
      const { model } = await compress(await open(), recipe, { methods: allMethods, calibration, rebuild });
      expect(savedBytes(model, new Map(), 'frugal')).toBeLessThanOrEqual(bytes);
      return score.evaluate(model);
    };
    expect(await scoreOf(result.recipe)).toBeLessThan(await scoreOf(plain.recipe));
    expect(searchPage(result)).toContain('Structures that were tried');
  });

  it('goes on where it was killed, with several structures', async () => {
    const target: SearchTarget = { kind: 'loss', share: 0.3 };
    const more = { structures: [fewer('one layer', 'blocks.1')], methods: allMethods, rebuild: skeleton };
    const file = join(folder, 'structures.json');
    const whole = await search(target, more);
    const first = await openSearchStore(file, 'key', { resume: false });
    let left = 25;
    const save: typeof first.save = async (state) => {
      await first.save(state);
      if (--left === 0) throw new Error('killed');
    };
    await expect(search(target, { ...more, store: { ...first, save } })).rejects.toThrow('killed');
    const store = await openSearchStore(file, 'key', { resume: true });
    expect(Object.keys(store.state.structures ?? {}).length).toBeGreaterThan(0);
    expect(await search(target, { ...more, store })).toEqual(whole);
  });

  it('finds zeros where they are free', async () => {
    const sparse = parseRecipe({
      version: 1,
      seed: 0,
      stages: [
        {
          name: 'zeros',
          modifiers: [{ type: 'prune.magnitude', targets: { include: ['blocks.**'] }, sparsity: '2:4' }],
        },
      ],
    });
    // Its weights have the zeros of 2:4 from the start: in this model they cost no more than 8 bits do.
    await saveModel(
      (await compress(await open(), sparse, { methods: allMethods, calibration })).model,
      join(folder, 'zeros'),
    );
    const openSparse = () => loadModel(join(folder, 'zeros'));
    const size: SearchOptions['size'] = (model, packed) => savedBytes(model, packed, 'frugal');
    const options = { methods: allMethods, calibration, score, size, probeTokens: 768 };
    const model = await openSparse();
    const plain = await searchRecipe(openSparse, { kind: 'size', bytes: 29_000 }, options);
    const result = await searchRecipe(
      openSparse,
      { kind: 'size', bytes: 29_000 },
      { ...options, options: standardOptions(model, { sparsity: true }) },
    );
    const zeros = result.choices.filter(({ option }) => option === '2:4 zeros, int8');
    expect(zeros.length).toBeGreaterThan(result.choices.length / 2);
    expect(result.chosen.predicted).toBeLessThan(plain.chosen.predicted);
    // On text that the search did not see.
    const logits = (of: CausalLM) =>
      scope(() =>
        noGrad(() => of.forward(stepBatch(walks(8, 3), { vocabularySize: VOCABULARY })).logits()),
      ).toFloat32();
    const wanted = await logits(model);
    const distanceOf = async ({ recipe }: { recipe: Recipe }) => {
      const made = (await compress(await openSparse(), recipe, { methods: allMethods, calibration })).model;
      return (await logits(made)).reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0);
    };
    expect(await distanceOf(result)).toBeLessThan(0.5 * (await distanceOf(plain)));
  });

  it('knows shapes that fit the model', () => {
    const model = createModel({ ...config, num_hidden_layers: 16 }, { seed: 1 });
    expect(standardStructures(model, { layers: true, width: true }).map(({ name }) => name)).toEqual([
      '14 of 16 layers',
      '12 of 16 layers',
      'MLPs 0.875 times as wide',
      'MLPs 0.75 times as wide',
    ]);
    expect(standardStructures(model, {})).toEqual([]);
  });

  it('ends with the same recipe when it was killed again and again', async () => {
    const target: SearchTarget = { kind: 'loss', share: 0.05 };
    const file = join(folder, 'search.json');
    const whole = await search(target);
    let [resume, kills] = [false, 0];
    for (const saves of [3, 5, 9, 1000]) {
      const store = await openSearchStore(file, 'key', { resume });
      let left = saves;
      const save: typeof store.save = async (state) => {
        await store.save(state);
        if (--left === 0) throw new Error('killed');
      };
      const result = await search(target, { store: { ...store, save } }).catch(
        (error: Error) => error.message,
      );
      resume = true;
      if (result === 'killed') kills++;
      else expect(result).toEqual(whole);
    }
    expect(kills).toBe(3);
    await expect(openSearchStore(file, 'another', { resume })).rejects.toThrow(/was another one/);
  });

  it('gives its best when it is interrupted', async () => {
    const stop = new AbortController();
    const onProgress: SearchOptions['onProgress'] = ({ done }) => void (done === 5 && stop.abort());
    const bytes = 20_000;
    const result = await search({ kind: 'size', bytes }, { signal: stop.signal, onProgress });
    expect(result.interrupted).toBe(true);
    expect(result.chosen.bytes).toBeLessThanOrEqual(bytes);
    expect(result.chosen.bytes).toBeGreaterThan(0.98 * bytes);
    expect((await outcome(result.recipe, 'interrupted')).bytes).toBe(result.chosen.bytes);
  });

  it('says what is out of reach', async () => {
    const stopped = { signal: AbortSignal.abort() };
    await expect(search({ kind: 'size', bytes: 5000 }, stopped)).rejects.toThrow(
      /no choice of formats is that small.*at least \d+ bytes/,
    );
    await expect(search({ kind: 'size', bytes: 1e9 }, stopped)).rejects.toThrow(/not larger than that/);
    await expect(search({ kind: 'loss', share: 0.01 }, stopped)).rejects.toThrow(
      /stopped before any recipe.*--resume/,
    );
    const packed = async () =>
      (await compress(await open(), uniform('int4-g32'), { methods, calibration })).model;
    await expect(
      searchRecipe(packed, { kind: 'size', bytes: 20_000 }, { methods, calibration, score }),
    ).rejects.toThrow(/no layer can be changed.*convert/);
  });
});
