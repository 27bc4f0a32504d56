import { parseArgs } from 'node:util';
import { cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint } from '@frugal/checkpoint';
import { AdapterBank, linearLayers } from '@frugal/lora';
import { loadModel, tokenizerOf } from '@frugal/models';
import { createEngine, type GenerationRequest } from '@frugal/serve/engine';
import { Random, scope, setBackend } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { Peer } from '../shared/peer.js';
import { type Row, report } from '../shared/result.js';
import { median } from '../shared/statistics.js';

/**
 * The engine with many streams at once beside llama.cpp with as many sequences, in turns:
 *   npm run bench -- streams -- [--model FILE.gguf] [--streams N] [--turns N] [--json FILE]
 * All streams begin together: each reads a prompt of its own and writes. New tokens per second, prompts included; llama.cpp with
 * one thread and with all, of which the better one counts. Then the prefill of the engine, what formats cost, and adapters (rank
 * 16 on all layers but the head): eight of them in one batch beside none.
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
const ADAPTERS = 8;
const RANK = 16;

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
let engine = createEngine([{ name: 'model', model, tokenizer }], { maxRunning: streams });
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
  process.stderr.write(`${tokens} tokens in ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
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
  properties: { names: { type: 'array', items: { type: 'string', maxLength: 60 }, minItems: 12 } },
  required: ['names'],
};
const kinds: Readonly<Record<string, Partial<GenerationRequest>>> = {
  plain: { maxTokens: NEW },
  'JSON schema': { maxTokens: NEW, format: { type: 'json-schema', schema } },
  'plain, sampled': { maxTokens: NEW, temperature: 1 },
  'JSON schema, sampled': { maxTokens: NEW, temperature: 1, format: { type: 'json-schema', schema } },
};
const threads = backend.threads;
const peers: { readonly peer: Peer; readonly threads: number; readonly speeds: number[] }[] = [];
for (const count of new Set([1, threads])) {
  const peerArguments = [path, streams, PROMPT, NEW, count].map(String);
  const peer = await Peer.startNode('llama_cpp_streams.mjs', peerArguments, 'node-llama-cpp');
  if (typeof peer === 'string') console.error(`llama.cpp is left out: ${peer}`);
  else peers.push({ peer, threads: count, speeds: [] });
}
const speeds: Record<string, number[]> = Object.fromEntries(
  [...Object.keys(kinds), 'prefill'].map((kind) => [kind, []]),
);
for (const request of Object.values(kinds)) await together(new Array(streams).fill(request));
for (let turn = 0; turn < Number(options.turns); turn++) {
  for (const [kind, request] of Object.entries(kinds)) {
    const { seconds, tokens } = await together(new Array(streams).fill(request));
    speeds[kind].push(tokens / seconds);
  }
  speeds.prefill.push(await prefill());
  for (const { peer, speeds } of peers) speeds.push((streams * NEW) / (await peer.run(1)).seconds);
}
for (const { peer } of peers) peer.quit();

const bank = new AdapterBank(model);
addAdapters(bank, model, ADAPTERS);
await engine.close();
engine = createEngine([{ name: 'model', model, tokenizer, adapters: bank }], { maxRunning: streams });
const mixes: Readonly<Record<string, Partial<GenerationRequest>[]>> = {
  'no adapter': Array.from({ length: streams }, () => kinds.plain),
  '1 adapter': Array.from({ length: streams }, () => ({ ...kinds.plain, adapter: '0' })),
  [`${ADAPTERS} adapters`]: Array.from({ length: streams }, (_, i) => ({
    ...kinds.plain,
    adapter: `${i % ADAPTERS}`,
  })),
};
const adapterSpeeds: Record<string, number[]> = Object.fromEntries(
  Object.keys(mixes).map((mix) => [mix, []]),
);
for (let turn = -1; turn < Number(options.turns); turn++) {
  for (const [mix, requests] of Object.entries(mixes)) {
    const { seconds, tokens } = await together(requests);
    if (turn >= 0) adapterSpeeds[mix].push(tokens / seconds);
  }
}
await engine.close();

const unit = 'tokens/s';
const own = (name: string, ours: readonly number[]): Row => ({ name, peer: null, unit, ours, theirs: [] });
const best = peers.toSorted((a, b) => median(b.speeds) - median(a.speeds))[0];
const version = best ? `${best.peer.version}, ${streams} sequences, ${best.threads} threads` : null;
report(
  [
    { name: `${streams} streams`, peer: version, unit, ours: speeds.plain, theirs: best?.speeds ?? [] },
    own(`prefill ${LONG}, engine`, speeds.prefill),
    ...Object.keys(kinds)
      .slice(1)
      .map((kind) => own(`${streams} streams, ${kind}`, speeds[kind])),
    ...Object.keys(mixes).map((mix) => own(`${streams} streams, ${mix}`, adapterSpeeds[mix])),
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
const ratio = (a: readonly number[], b: readonly number[]) => (median(a) / median(b)).toFixed(2);
console.log(
  `JSON schema at ${ratio(speeds['JSON schema'], speeds.plain)} of the speed without, sampled ${ratio(speeds['JSON schema, sampled'], speeds['plain, sampled'])}`,
);
console.log(
  `${ADAPTERS} adapters at ${ratio(adapterSpeeds[`${ADAPTERS} adapters`], adapterSpeeds['no adapter'])} of the speed without`,
);

function addAdapters(bank: AdapterBank, model: CausalLM, count: number): void {
  const random = new Random(1);
  const layers = [...linearLayers(model)].filter(([path]) => path.startsWith('blocks.'));
  for (let i = 0; i < count; i++) {
    scope(() => {
      const part = (rows: number, columns: number) => random.normal([rows, columns]).mul(0.01);
      const adapter = layers.map(
        ([path, { inFeatures, outFeatures }]) =>
          [path, { down: part(RANK, inFeatures), up: part(outFeatures, RANK), scale: 1 }] as const,
      );
      bank.add(`${i}`, new Map(adapter));
    });
  }
}
