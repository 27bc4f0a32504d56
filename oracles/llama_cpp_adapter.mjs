/**
 * Greedy tokens of a GGUF file with adapters in llama.cpp, one after the other, and without any:
 *   node llama_cpp_adapter.mjs FOLDER FILE.gguf COUNT IDS_JSON ADAPTER.gguf...
 * FOLDER has node-llama-cpp in its node_modules. Prints one line of JSON each: { adapter, ids }. Keys and values are f32.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, modelPath, count, prompt, ...adapters] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(join(folder, 'any.js')));
const { getLlama } = await import(pathToFileURL(resolve('node-llama-cpp')).href);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 1 });
for (const adapter of [null, ...adapters]) {
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: 64,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
    ...(adapter && { lora: { adapters: [{ filePath: adapter, scale: 1 }] } }),
  });
  const ids = [];
  for await (const id of context.getSequence().evaluate(JSON.parse(prompt), { temperature: 0 })) {
    ids.push(id);
    if (ids.length >= Number(count)) break;
  }
  console.log(JSON.stringify({ adapter, ids }));
  await context.dispose();
  await model.dispose();
}
process.exit(0);
