import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { compress } from '@frugal/compress';
import { createModel, huggingFaceNames, loadModel, saveModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { PackedLinear } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';

const script = fileURLToPath(new URL('../oracles/gptqmodel_weights.py', import.meta.url));
const python = findPython('import torch, gptqmodel');

const llama = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 96,
};

const cases = [
  ['int4-g32', 'gptq'],
  ['int4-g32-zero', 'gptq'],
  ['int4-g32-order', 'gptq'],
  ['int3-g32', 'gptq'],
  ['int2-g16-zero', 'gptq'],
  ['int8-g64', 'gptq'],
  ['int4-g32', 'awq'],
  ['int4-g64-zero', 'awq'],
] as const;

it('GPTQModel reads our GPTQ and AWQ checkpoints as we do', async (context) => {
  if (!python) return context.skip('no Python with torch and gptqmodel');
  const directory = await mkdtemp(join(tmpdir(), 'frugal-gptqmodel-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const [models, results] = [join(directory, 'models'), join(directory, 'results')];
  await mkdir(results);
  for (const [format, layout] of cases) {
    const model = createModel(llama, { seed: 7 });
    const modifier = { type: 'quant.rtn', targets: { include: ['blocks.**'] }, format };
    const recipe = { version: 1 as const, seed: 0, stages: [{ name: 'pack', modifiers: [modifier] }] };
    await compress(model, recipe, { methods: [roundToNearest] });
    await saveModel(model, join(models, `${layout} ${format}`), { layout });
  }
  const { status, stderr } = spawnSync(python, [script, models, results], { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  for (const [format, layout] of cases) {
    const model = await loadModel(join(models, `${layout} ${format}`));
    const names = huggingFaceNames(model.config);
    const source = await openSafetensors(join(results, `${layout} ${format}.safetensors`));
    let compared = 0;
    for (const [path, module] of model.namedModules()) {
      if (!(module instanceof PackedLinear)) continue;
      const theirs = toFloat32(await source.read(`${names.toTheirs(path)}.weight`), 'F32');
      expect(await module.effectiveWeight().toFloat32(), `${layout} ${format} ${path}`).toEqual(theirs);
      compared++;
    }
    expect(compared).toBe(7);
    await source.close();
  }
});
