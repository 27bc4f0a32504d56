import { compress, type ModifierSpec, readWeight } from '@frugal/compress';
import { createModel, skeleton } from '@frugal/models';
import { layerPruning, sparseGptPruning, wanda } from '@frugal/prune';
import { ggufQuantization, gptqQuantization, roundToNearest } from '@frugal/quant';
import { noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, type LinearLike, stepBatch } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';
import { runStores } from './support/run-stores.js';

/** One expert of six for each of three different tokens: some are never chosen. */
const config = {
  architectures: ['Qwen3MoeForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  moe_intermediate_size: 32,
  num_experts: 6,
  num_experts_per_tok: 1,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  norm_topk_prob: true,
  vocab_size: 40,
};
const calibration = [Int32Array.from({ length: 24 }, (_, i) => i % 3)];
const methods = [gptqQuantization, ggufQuantization, roundToNearest, wanda, sparseGptPruning, layerPruning];
const upProjections = Array.from({ length: 6 }, (_, e) => `blocks.0.mlp.experts.up.sites.${e}`);

async function run(model: CausalLM, spec: Omit<ModifierSpec, 'targets'> & { type: string }) {
  const modifiers = [{ ...spec, targets: { include: ['blocks.**'] } }];
  const recipe = { version: 1 as const, seed: 0, stages: [{ name: 'one', modifiers }] };
  const { report } = await compress(model, recipe, { methods, calibration });
  return new Map(report.stages[0].outcomes.map(({ path, measured }) => [path, measured]));
}

const weightOf = (model: CausalLM, path: string) => readWeight(model.module(path) as LinearLike, path);

it('GPTQ calibrates experts one by one, and rounds to nearest those that no row reaches', async () => {
  const [model, nearest] = [createModel(config, { seed: 1 }), createModel(config, { seed: 1 })];
  const measured = await run(model, { type: 'quant.gptq', format: 'int4-g32' });
  await run(nearest, { type: 'quant.rtn', format: 'int4-g32' });
  const rows = upProjections.map((path) => measured.get(path)?.rows as number);
  expect(rows.reduce((sum, count) => sum + count, 0)).toBe(24);
  expect(rows.filter((count) => count === 0).length).toBeGreaterThanOrEqual(3);
  for (const [e, path] of upProjections.entries()) {
    const [own, plain] = [await weightOf(model, path), await weightOf(nearest, path)];
    if (rows[e] > 0) expect(own).not.toEqual(plain);
    else {
      expect(own).toEqual(plain);
      expect(measured.get(path)?.note).toBe('rounded to nearest');
      expect(measured.get(path)?.weightError).toBeLessThan(0.02);
    }
  }
});

it.each(['prune.wanda', 'prune.sparsegpt'])('%s prunes starved experts by magnitude', async (type) => {
  const [model, dense] = [createModel(config, { seed: 1 }), createModel(config, { seed: 1 })];
  const measured = await run(model, { type, sparsity: 0.5 });
  const starved = upProjections.filter((path) => measured.get(path)?.note !== undefined);
  expect(starved.length).toBeGreaterThanOrEqual(3);
  expect(starved.length).toBeLessThan(6);
  for (const path of starved) {
    const [own, before] = [await weightOf(model, path), await weightOf(dense, path)];
    const kept = before.map(Math.abs).filter((_, i) => own[i] !== 0);
    const gone = before.map(Math.abs).filter((_, i) => own[i] === 0);
    expect(kept.length).toBe(gone.length);
    expect(kept.reduce((sum, w) => sum + w, 0)).toBeGreaterThan(2 * gone.reduce((sum, w) => sum + w, 0));
  }
});

it('an importance of columns that is zero everywhere counts for nothing', async () => {
  const measured = await run(createModel(config, { seed: 1 }), { type: 'quant.gguf', format: 'q4_0' });
  const kinds = new Set(upProjections.map((path) => measured.get(path)?.importance));
  expect(kinds).toEqual(new Set(['calibration', 'none']));
});

it.each(['prune.wanda', 'quant.gptq'])('%s goes on where it stopped, experts included', async (type) => {
  const two = { ...config, num_hidden_layers: 2 };
  const spec = type === 'quant.gptq' ? { type, format: 'int4-g32' } : { type, sparsity: 0.5 };
  const modifiers = [{ ...spec, targets: { include: ['blocks.**'] } }];
  const recipe = { version: 1 as const, seed: 0, stages: [{ name: 'one', modifiers }] };
  const whole = createModel(two, { seed: 1 });
  await compress(whole, recipe, { methods, calibration });
  const stores = await runStores();
  const stop = new AbortController();
  const onProgress = ({ path }: { path: string }) => void (path.startsWith('blocks.1') && stop.abort());
  const options = { methods, calibration };
  const first = compress(createModel(two, { seed: 1 }), recipe, {
    ...options,
    store: await stores.open(false),
    signal: stop.signal,
    onProgress,
  });
  await expect(first).rejects.toThrow();
  expect(await stores.finishedParts()).toEqual(['stage-0-blocks.0']);
  const resumed = createModel(two, { seed: 1 });
  await compress(resumed, recipe, { ...options, store: await stores.open(true) });
  for (const path of [...upProjections, 'blocks.0.attention.key', 'blocks.1.mlp.experts.down.sites.0'])
    expect(await weightOf(resumed, path), path).toEqual(await weightOf(whole, path));
});

it('layers are removed around experts', async () => {
  const model = createModel({ ...config, num_hidden_layers: 3 }, { seed: 1 });
  const kept = await weightOf(model, 'blocks.2.mlp.experts.up.sites.4');
  const modifiers = [{ type: 'prune.layers', targets: { include: ['blocks.1'] }, exactly: true }];
  const recipe = { version: 1 as const, seed: 0, stages: [{ name: 'cut', modifiers }] };
  const { model: shallow } = await compress(model, recipe, { methods, calibration, rebuild: skeleton });
  expect(await weightOf(shallow, 'blocks.1.mlp.experts.up.sites.4')).toEqual(kept);
  const step = stepBatch(calibration, { vocabularySize: 40 });
  const logits = await scope(() => noGrad(() => shallow.forward(step).logits())).toFloat32();
  expect(logits.every(Number.isFinite)).toBe(true);
  expect(logits.some((value) => value !== 0)).toBe(true);
});
