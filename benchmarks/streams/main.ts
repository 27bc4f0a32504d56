import { parseArgs } from 'node:util';
import { cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint } from '@frugal/checkpoint';
import { loadModel, tokenizerOf } from '@frugal/models';
import { createEngine, type GenerationRequest } from '@frugal/serve/engine';
import { setBackend } from '@frugal/tensor-core';
import type { Tokenizer } from '@frugal/tokenizers';
import { Peer } from '../shared/peer.js';
import { type Row, report } from '../shared/result.js';
import { median } from '../shared/statistics.js';

/**
 * The engine with many streams at once beside llama.cpp with as many sequences, in turns:
 *   npm run bench -- streams -- [--model FILE.gguf] [--streams N] [--turns N] [--json FILE]
 * All streams begin together: each reads a prompt of its own and writes. New tokens per second, prompts included; then the
 * prefill of the engine, and what formats cost.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    streams: { type: 'string', default: '16' },
    turns: { type: 'string', default: '5' },
    json: { type: 'string' },
  },
});
const PROMPT = 32;
const NEW = 128;
const LONG = 1024;

const path = options.model ?? process.env.FRUGAL_BENCH_MODEL;
if (!path) {
  console.error('[streams] no model: name one with --model (see benchmarks/README.md)');
  process.exit(2);
}
const streams = Number(options.streams);
const backend = cpuBackend();
setBackend(backend);
const model = await loadModel(path);
const checkpoint = await openCheckpoint(path);
// Without tokens that end a text: all write as much as llama.cpp does.
const tokenizer: Tokenizer = Object.create(await tokenizerOf(checkpoint), { eosIds: { value: [] } });
await checkpoint.close();
const engine = createEngine([{ name: 'model', model, tokenizer }], { maxRunning: streams });
let round = 0;

/** The tokens that `llama_cpp_streams.mjs` reads. */
const promptOf = (stream: number, length: number) => ({
  ids: Array.from({ length }, (_, i) => ((i + 1) * 7919 + stream * 104729 + round * 1299709) % 32000),
});

/** Seconds until all have written, and how many tokens those were. */
async function together(requests: readonly Partial<GenerationRequest>[]) {
  round++;
  const start = performance.now();
  const counts = requests.map(async (request, stream) => {
    const prompt = promptOf(stream, PROMPT);
    for await (const event of engine.submit({ model: 'model', prompt, temperature: 0, ...request }))
      if (event.type === 'finish') return event.usage.completionTokens;
    return 0;
  });
  const tokens = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  return { seconds: (performance.now() - start) / 1000, tokens };
}

async function prefill(): Promise<number> {
  round++;
  const start = performance.now();
  for await (const event of engine.submit({ model: 'model', prompt: promptOf(0, LONG), maxTokens: 1 }))
    if (event.type === 'finish') break;
  return LONG / ((performance.now() - start) / 1000);
}

const schema = {
  type: 'object',
  properties: { names: { type: 'array', items: { type: 'string', maxLength: 60 }, minItems: 60 } },
  required: ['names'],
};
const kinds: Readonly<Record<string, Partial<GenerationRequest>>> = {
  plain: { maxTokens: NEW },
  'JSON schema': { maxTokens: 400, format: { type: 'json-schema', schema } },
};
const threads = backend.threads;
const peerArguments = [path, streams, PROMPT, NEW, threads].map(String);
const peer = await Peer.startNode('llama_cpp_streams.mjs', peerArguments, 'node-llama-cpp');
if (typeof peer === 'string') console.error(`llama.cpp is left out: ${peer}`);
const speeds: Record<string, number[]> = { plain: [], 'JSON schema': [], prefill: [], theirs: [] };
for (const request of Object.values(kinds)) await together(new Array(streams).fill(request));
for (let turn = 0; turn < Number(options.turns); turn++) {
  for (const [kind, request] of Object.entries(kinds)) {
    const { seconds, tokens } = await together(new Array(streams).fill(request));
    speeds[kind].push(tokens / seconds);
  }
  speeds.prefill.push(await prefill());
  if (typeof peer === 'string') continue;
  const { seconds } = await peer.run(1);
  speeds.theirs.push((streams * NEW) / seconds);
}
await engine.close();
if (typeof peer !== 'string') peer.quit();

const unit = 'tokens/s';
const own = (name: string, ours: readonly number[]): Row => ({ name, peer: null, unit, ours, theirs: [] });
const version = typeof peer === 'string' ? null : `${peer.version}, ${streams} sequences, ${threads} threads`;
report(
  [
    { name: `${streams} streams`, peer: version, unit, ours: speeds.plain, theirs: speeds.theirs },
    own(`${streams} streams, JSON schema`, speeds['JSON schema']),
    own(`prefill ${LONG}, engine`, speeds.prefill),
  ],
  {
    backend: backend.description,
    model: path.split('/').pop(),
    streams,
    promptTokens: PROMPT,
    newTokens: NEW,
  },
);
const share = median(speeds.plain) / median(speeds.prefill);
console.log(`${streams} streams write at ${(100 * share).toFixed(0)} % of the engine's own prefill rate`);
