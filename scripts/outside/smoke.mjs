/**
 * Runs outside the workspace, where the tarballs were installed: imports every entry of every package of ours, computes,
 * trains, saves, opens and generates. `node smoke.mjs BACKEND` expects that backend.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultBackend } from '@frugal/backend-cpu';
import { createModel, loadModel, saveModel } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, train } from '@frugal/trainer';

const packages = join(import.meta.dirname, 'node_modules/@frugal');

async function importAll() {
  let entries = 0;
  for (const name of readdirSync(packages).filter((folder) => !/^backend-cpu-/.test(folder))) {
    const { exports } = JSON.parse(readFileSync(join(packages, name, 'package.json'), 'utf8'));
    for (const entry of Object.keys(exports)) {
      // A program rather than a library: it waits for messages of the process that started it.
      if (entry.endsWith('.json') || entry === './engine-process') continue;
      const found = await import(join(`@frugal/${name}`, entry));
      assert.ok(Object.keys(found).length > 0, `@frugal/${name} ${entry} exports nothing`);
      entries++;
    }
  }
  return entries;
}

const [expected] = process.argv.slice(2);
const entries = await importAll();
const backend = defaultBackend();
assert.equal(backend.name, expected);
setBackend(backend);

const model = createModel(
  {
    architectures: ['LlamaForCausalLM'],
    ...{ hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4 },
    ...{ vocab_size: 61, max_position_embeddings: 64 },
  },
  { seed: 1 },
);
const text = Int32Array.from({ length: 24 }, (_, i) => (i * 3) % 61);
const losses = [];
const run = train({
  model,
  batches: { next: () => nextTokenBatch([text]), state: () => null, restore: () => {} },
  loss: languageModelLoss(model),
  optimizer: new AdamW(),
  schedule: constant({ peak: 0.01 }),
  steps: 20,
});
for await (const event of run) if (event.type === 'step') losses.push(event.loss);
assert.ok(losses[19] < losses[0] / 2, `the loss did not fall: ${losses[0]} to ${losses[19]}`);

await saveModel(model, 'model');
const opened = await loadModel('model');
const tokens = [];
for await (const id of generate(opened, text.subarray(0, 6), { maxTokens: 6, temperature: 0 }))
  tokens.push(id);
assert.deepEqual(tokens, Array.from(text.subarray(6, 12)));
console.log(
  `Node ${process.versions.node}: ${entries} entries, ${backend.description}, loss ${losses[0].toFixed(2)} to ${losses[19].toFixed(2)}`,
);
