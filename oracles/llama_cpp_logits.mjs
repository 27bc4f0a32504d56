/**
 * How probable llama.cpp finds each next token, with keys and values in f32:
 *   node llama_cpp_logits.mjs FOLDER COUNT FILE.gguf...
 * FOLDER has node-llama-cpp in its node_modules. Every file is given the tokens (7 i + 3) mod V for i < COUNT. Prints one
 * line of JSON per file: { file, ids, next }, `next` being for each position its most probable tokens with their
 * probabilities; or { file, error }.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, count, ...files] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(join(folder, 'any.js')));
const { getLlama } = await import(pathToFileURL(resolve('node-llama-cpp')).href);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 1 });

async function examine(modelPath) {
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize: 64,
    flashAttention: false, // which would round keys and values to f16
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  });
  const vocabulary = model.fileInfo.tensorInfo?.find(({ name }) => name === 'token_embd.weight')
    .dimensions[1];
  const ids = Array.from({ length: Number(count) }, (_, i) => (i * 7 + 3) % Number(vocabulary));
  const asked = {
    generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } },
  };
  const results = await context.getSequence().controlledEvaluate(ids.map((id) => [id, asked]));
  const next = results.map(({ next: { probabilities } }) => [...probabilities].slice(0, 40));
  await context.dispose();
  await model.dispose();
  return { ids, next };
}

for (const file of files) {
  const result = await examine(file).catch((error) => ({ error: String(error) }));
  console.log(JSON.stringify({ file, ...result }));
}
process.exit(0);
