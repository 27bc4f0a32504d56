/**
 * llama.cpp through node-llama-cpp, many sequences of one context, in the line protocol of protocol.py:
 *   node llama_cpp_streams.mjs FOLDER_OF_PACKAGE MODEL.gguf STREAMS PROMPT_TOKENS NEW_TOKENS THREADS
 * `run N` lets all streams read their prompts and write, N times: { seconds, tokens } of the last time: all in all, and how many were written.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [folder, modelPath, ...numbers] = process.argv.slice(2);
const [streams, promptTokens, newTokens, threads] = numbers.map(Number);
const { getLlama } = await import(pathToFileURL(join(folder, 'dist/index.js')));
const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const context = await model.createContext({
  sequences: streams,
  contextSize: promptTokens + newTokens + 8,
  batchSize: 512,
  threads: { ideal: threads, min: threads },
});
const sequences = Array.from({ length: streams }, () => context.getSequence());
let round = 0;

async function write(sequence, stream) {
  await sequence.clearHistory();
  const prompt = Array.from(
    { length: promptTokens },
    (_, i) => ((i + 1) * 7919 + stream * 104729 + round * 1299709) % 32000,
  );
  let count = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true }))
    if (++count === newTokens) break;
}

async function once() {
  round++;
  const start = performance.now();
  await Promise.all(sequences.map(write));
  return { seconds: (performance.now() - start) / 1000, tokens: streams * newTokens };
}

await once();
say({ ready: { peer: `node-llama-cpp ${version}` } });
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, count] = line.split(' ');
  if (verb === 'quit') break;
  try {
    let result;
    for (let i = 0; i < Number(count); i++) result = await once();
    say(result);
  } catch (error) {
    say({ error: error.message });
  }
}
process.exit(0);
