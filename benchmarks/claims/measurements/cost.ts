import { openCheckpoint } from '@frugal/checkpoint';
import { type PairedDifference, pairedBootstrap } from '@frugal/eval';
import { loadModel, tokenizerOf } from '@frugal/models';
import { createEngine } from '@frugal/serve/engine';
import type { FloatDType } from '@frugal/tensor-core';
import type { Tokenizer } from '@frugal/tokenizers';
import { Peer, serveRuns } from '../../shared/peer.js';
import { type Measured, measureInTurns } from '../../shared/turns.js';
import { bitsPerByte, type DocumentScore, heldOutBytes, paired } from '../corpus.js';
import { modelOf, type Setting } from '../part.js';
import { RealModel } from '../real-model.js';
import { modelFolder } from '../setting.js';

/** One way to serve the model. */
interface Way {
  readonly name: string;
  /** New tokens per second of all streams, prompts included; one number per turn. */
  readonly speed: readonly number[];
  /** Largest resident memory; null for peers, which do not tell. */
  readonly peakBytes: number | null;
  readonly bitsPerByte: number | null;
  /** Against bf16. */
  readonly loss: PairedDifference | null;
}

export interface Cost {
  readonly streams: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly threads: number;
  readonly peer: string | null;
  readonly ways: readonly Way[];
}

const STREAMS = 16;
const PROMPT = 32;
const NEW = 24;
const THREADS = 2;

/**
 * New tokens per second of 16 streams, each way a process of its own, in turns: SmolLM2 in bf16 by llama.cpp and by our
 * engine, and the packed forms of our engine with what they cost in bits per byte.
 */
export async function measureCost(setting: Setting): Promise<Cost> {
  const model = await RealModel.open(modelOf(setting), modelFolder(setting));
  const dense = await model.dense();
  const packed = { w8a8: await model.packed('w8a8'), int4: await model.packed('int4') };
  const numbers = [STREAMS, PROMPT, setting.quick ? 4 : NEW, THREADS].map(String);
  const peer = await Peer.startNode(
    'llama_cpp_streams.mjs',
    [await model.denseGguf(), ...numbers],
    'node-llama-cpp',
  );
  const own = (path: string, dtype: FloatDType) =>
    Peer.self(['--engine', path, '--dtype', dtype, '--new-tokens', numbers[2]]);
  const ways: [string, Peer | string][] = [
    ['llama.cpp bf16', peer],
    ['Frugal bf16', await own(dense, 'bf16')],
    ['Frugal w8a8', await own(packed.w8a8, 'f32')],
    ['Frugal int4', await own(packed.int4, 'f32')],
  ];
  const measured = await measureInTurns(ways, { turns: setting.quick ? 1 : 3, steps: 1 });
  const quality = new Map<string, DocumentScore[]>();
  for (const form of ['bf16', 'w8a8', 'int4'] as const)
    quality.set(form, await model.scores(form, heldOutBytes(setting)));
  return {
    ...{ streams: STREAMS, promptTokens: PROMPT, newTokens: NEW, threads: THREADS },
    peer: typeof peer === 'string' ? null : peer.version,
    ways: ways.flatMap(([name]) => {
      const own = measured.get(name);
      return own ? [wayOf(name, own, quality)] : [];
    }),
  };
}

function wayOf(name: string, { speed, peakBytes }: Measured, quality: Map<string, DocumentScore[]>): Way {
  const preset = name.split(' ')[1];
  const reference = quality.get('bf16');
  const scores = quality.get(preset);
  return {
    ...{ name, speed },
    peakBytes: peakBytes ?? null,
    bitsPerByte: scores ? bitsPerByte(scores) : null,
    loss: scores && reference && preset !== 'bf16' ? pairedBootstrap(paired(scores, reference)) : null,
  };
}

/** The other side of one of ours: all streams begin together, each with a prompt of its own, and write `newTokens`. */
export async function serveStreams(path: string, dtype: FloatDType, newTokens: number): Promise<void> {
  const model = await loadModel(path, { dtype });
  const checkpoint = await openCheckpoint(path);
  // Without tokens that end a text: all write as much as llama.cpp does.
  const tokenizer: Tokenizer = Object.create(await tokenizerOf(checkpoint), { eosIds: { value: [] } });
  await checkpoint.close();
  const engine = createEngine([{ name: 'model', model, tokenizer }], { maxRunning: STREAMS });
  let round = 0;
  /** The tokens that `llama_cpp_streams.mjs` reads. */
  const promptOf = (stream: number) => ({
    ids: Array.from(
      { length: PROMPT },
      (_, i) => ((i + 1) * 7919 + stream * 104729 + round * 1299709) % 32000,
    ),
  });
  const write = async (stream: number) => {
    const request = { model: 'model', prompt: promptOf(stream), temperature: 0, maxTokens: newTokens };
    for await (const event of engine.submit(request))
      if (event.type === 'finish') return event.usage.completionTokens;
    return 0;
  };
  await serveRuns('frugal', async () => {
    round++;
    const start = performance.now();
    const counts = await Promise.all(Array.from({ length: STREAMS }, (_, stream) => write(stream)));
    return {
      tokens: counts.reduce((sum, count) => sum + count, 0),
      seconds: (performance.now() - start) / 1000,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
  });
  await engine.close();
}
