/**
 * llama.cpp through node-llama-cpp, in the line protocol of protocol.py:
 *   node llama_cpp.mjs FOLDER_OF_PACKAGE MODEL.gguf PROMPT_TOKENS NEW_TOKENS THREADS[,THREADS…]
 * `run N THREADS` reads a prompt and writes new tokens N times: { prefill, decode } are seconds of the last time, until
 * the first new token and from there to the last.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [folder, modelPath, promptTokens, newTokens, threadCounts] = process.argv.slice(2);
const { getLlama } = await import(pathToFileURL(join(folder, 'dist/index.js')));
const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const size = Number(promptTokens) + Number(newTokens);
const vocabulary = model.fileInsights?.tokenizerSettings?.vocabSize ?? 32000;
const prompt = Array.from(
  { length: Number(promptTokens) },
  (_, i) => (i * 7919) % Math.min(vocabulary, 32000),
);
const sequences = new Map();
for (const threads of threadCounts.split(',')) {
  const context = await model.createContext({
    contextSize: size + 8,
    batchSize: Number(promptTokens),
    threads: { ideal: Number(threads), min: Number(threads) },
  });
  sequences.set(threads, context.getSequence());
}

async function once(sequence) {
  await sequence.clearHistory();
  const start = performance.now();
  let first = start;
  let count = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (count++ === 0) first = performance.now();
    if (count === Number(newTokens)) break;
  }
  return { prefill: (first - start) / 1000, decode: (performance.now() - first) / 1000, count };
}

for (const sequence of sequences.values()) await once(sequence);
say({ ready: { peer: `node-llama-cpp ${version}` } });
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, count, threads] = line.split(' ');
  if (verb === 'quit') break;
  const sequence = sequences.get(threads);
  if (verb !== 'run' || !sequence) {
    say({ error: `got ${line}; expected 'run N THREADS' or 'quit'` });
    continue;
  }
  try {
    let result;
    for (let i = 0; i < Number(count); i++) result = await once(sequence);
    say(result);
  } catch (error) {
    say({ error: error.message });
  }
}
process.exit(0);
