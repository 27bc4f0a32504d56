import { AdapterBank, linearLayers } from '@frugal/lora';
import type { GenerationRequest } from '@frugal/serve/engine';
import { Random, scope } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { Peer } from '../shared/peer.js';
import { median } from '../shared/statistics.js';
import { Load, PROMPT } from './load.js';
import type { Part, Samples } from './part.js';

/** Tokens of a prompt that is read alone. */
const LONG = 1024;
const ADAPTERS = 8;
const RANK = 16;

const ratio = (samples: Samples, a: string, b: string) =>
  (median(samples[a]) / median(samples[b])).toFixed(3);

/** Streams beside llama.cpp with as many sequences, with one thread and with all; the engine's prefill. */
const base: Part = {
  unit: 'tokens/s',
  async start(setting) {
    const { path, streams, newTokens, backend } = setting;
    const peers = new Map<string, Peer>();
    for (const threads of new Set([1, backend.threads])) {
      const peerArguments = [path, streams, PROMPT, newTokens, threads].map(String);
      const peer = await Peer.startNode('llama_cpp_streams.mjs', peerArguments, 'node-llama-cpp');
      if (typeof peer === 'string') console.error(`llama.cpp is left out: ${peer}`);
      else peers.set(`${peer.version}, ${threads} threads`, peer);
    }
    const load = new Load(setting);
    await load.speed(() => ({ maxTokens: 24 }));
    return {
      async turn() {
        const turn: Record<string, number> = { frugal: await load.speed() };
        turn[`prefill ${LONG}`] = LONG / (await load.firstToken(load.newPrompt(LONG)));
        for (const [name, peer] of peers) turn[name] = (streams * newTokens) / (await peer.run(1)).seconds;
        return turn;
      },
      async close() {
        for (const peer of peers.values()) peer.quit();
        await load.close();
      },
    };
  },
  conclusions(samples) {
    const peers = Object.keys(samples).filter((name) => name.includes('threads'));
    const best = peers.toSorted((a, b) => median(samples[b]) - median(samples[a]))[0];
    return [
      ...(best ? [`${ratio(samples, 'frugal', best)} times the speed of ${best}`] : []),
      `${ratio(samples, 'frugal', `prefill ${LONG}`)} of the engine's own prefill rate`,
    ];
  },
};

const schema = {
  type: 'object',
  properties: { names: { type: 'array', items: { type: 'string', maxLength: 60 }, minItems: 12 } },
  required: ['names'],
};
const format: GenerationRequest['format'] = { type: 'json-schema', schema };

/** What a JSON schema costs, for the most likely tokens and for drawn ones. */
const json: Part = {
  unit: 'tokens/s',
  start: (setting) =>
    inTurns(new Load(setting), {
      plain: () => ({}),
      'JSON schema': () => ({ format }),
      'plain, sampled': (stream) => ({ temperature: 1, seed: stream }),
      'JSON schema, sampled': (stream) => ({ temperature: 1, seed: stream, format }),
    }),
  conclusions: (samples) => [
    `JSON schema: ${ratio(samples, 'plain', 'JSON schema')} times the time without; ` +
      `sampled ${ratio(samples, 'plain, sampled', 'JSON schema, sampled')}`,
  ],
};

/** Adapters of rank 16 on all layers but the head: one for all streams, and eight in one batch. */
const adapters: Part = {
  unit: 'tokens/s',
  start(setting) {
    const bank = new AdapterBank(setting.model);
    addAdapters(bank, setting.model);
    return inTurns(
      new Load(setting, bank),
      {
        'no adapter': () => ({}),
        '1 adapter': () => ({ adapter: '0' }),
        [`${ADAPTERS} adapters`]: (stream) => ({ adapter: `${stream % ADAPTERS}` }),
      },
      () => bank.detach(),
    );
  },
  conclusions: (samples) => [
    `${ADAPTERS} adapters at ${ratio(samples, `${ADAPTERS} adapters`, 'no adapter')} of the speed without`,
  ],
};

/** How long a prompt takes that was read before. */
const prefix: Part = {
  unit: 'ms',
  async start(setting) {
    const load = new Load(setting);
    const turn = async () => {
      const prompt = load.newPrompt(LONG);
      const first = await load.firstToken(prompt);
      return { first: 1000 * first, again: 1000 * (await load.firstToken(prompt)) };
    };
    await turn();
    return { turn, close: () => load.close() };
  },
  conclusions: (samples) => [
    `the second time, a prompt of ${LONG} tokens takes ${ratio(samples, 'again', 'first')} of the time`,
  ],
};

export const parts: Readonly<Record<string, Part>> = { base, json, adapters, prefix };

async function inTurns(
  load: Load,
  kinds: Readonly<Record<string, (stream: number) => Partial<GenerationRequest>>>,
  after: () => void = () => {},
) {
  for (const kind of Object.values(kinds)) await load.speed((stream) => ({ ...kind(stream), maxTokens: 24 }));
  return {
    async turn() {
      const turn: Record<string, number> = {};
      for (const [name, kind] of Object.entries(kinds)) turn[name] = await load.speed(kind);
      return turn;
    },
    async close() {
      await load.close();
      after();
    },
  };
}

function addAdapters(bank: AdapterBank, model: CausalLM): void {
  const random = new Random(1);
  const layers = [...linearLayers(model)].filter(([path]) => path.startsWith('blocks.'));
  for (let i = 0; i < ADAPTERS; i++) {
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
