import { join } from 'node:path';
import { openCheckpoint } from '@frugal/checkpoint';
import { SequenceSampler, splitByHash } from '@frugal/data';
import { loadCorpus } from '@frugal/example-pretrain-distill-deploy/corpus';
import { loadModel, tokenizerOf, unpackModel } from '@frugal/models';
import type { BatchSource, CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { ownModel } from './own-model.js';

/** A dense model that is compressed, with texts; what is held out is seen neither by calibration nor by distillation. */
export interface Subject {
  readonly name: 'smollm2' | 'own';
  readonly title: string;
  /** A new copy each time, f32. */
  open(): Promise<CausalLM>;
  readonly calibration: readonly Int32Array[];
  /** Another number of such sequences. */
  calibrationOf(sequences: number): readonly Int32Array[];
  readonly heldOut: readonly Int32Array[];
  /** Batches for distillation: the same in each call. */
  batches(): BatchSource;
  readonly distillation: { readonly steps: number; readonly learningRate: number };
  /** Width of the groups beside 32: 64 divides the widths of both. */
  readonly groups: 64;
  /** Facts for the result. */
  readonly notes: Readonly<Record<string, unknown>>;
}

const SEED = 7;

/** SmolLM2-135M-Instruct, dequantised from Q4_1; texts: speeches of the corpus; so many sequences of 512 tokens calibrate. */
export async function smolLM2(sequences = 32): Promise<Subject> {
  const file = process.env.FRUGAL_TEST_MODEL ?? '.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf';
  const checkpoint = await openCheckpoint(file);
  const tokenizer = await tokenizerOf(checkpoint);
  await checkpoint.close();
  const english = (await loadCorpus()).filter(({ label }) => label === 'English');
  const { train, heldOut } = splitByHash(english, 1 / 12);
  const stream = encodeAll(train.map(({ text }) => text).slice(0, 40), tokenizer);
  const sampler = (length: number, batch: number) =>
    new SequenceSampler(stream, { length, batch, seed: SEED });
  const scored = windows(
    encodeEach(
      heldOut.map(({ text }) => text),
      tokenizer,
    ),
    512,
    16,
  );
  return {
    name: 'smollm2',
    title: 'SmolLM2-135M-Instruct',
    async open() {
      const model = await loadModel(file);
      unpackModel(model);
      return model;
    },
    calibration: sampler(512, sequences).next().sequences,
    calibrationOf: (sequences) => sampler(512, sequences).next().sequences,
    heldOut: scored,
    batches: () => sampler(256, 4),
    distillation: { steps: 40, learningRate: 2e-4 },
    groups: 64,
    notes: {
      file: join(file).split('/').at(-1),
      calibrationTokens: sequences * 512,
      heldOutTokens: scored.length * 512,
    },
  };
}

/** The own model; texts: its training documents, and those held out of its training. */
export async function own(tokens?: number): Promise<Subject> {
  const { laboratory, trained } = await ownModel(tokens);
  const { data, run, settings } = laboratory;
  trained.model.dispose();
  const texts = [...data.heldOut.values()].flat();
  const sampler = (length: number, batch: number) =>
    new SequenceSampler(data.training.tokens, { length, batch, seed: SEED });
  return {
    name: 'own',
    title: 'own Llama, width 256',
    open: () => loadModel(run.file('own')),
    calibration: sampler(settings.sequence, 128).next().sequences,
    calibrationOf: (sequences) => sampler(settings.sequence, sequences).next().sequences,
    heldOut: windows(encodeEach(texts, data.tokenizer), settings.sequence, 160),
    batches: () => sampler(settings.sequence, 8),
    distillation: { steps: 100, learningRate: 2e-3 },
    groups: 64,
    notes: { training: trained.record, calibrationTokens: 128 * settings.sequence },
  };
}

function encodeEach(texts: readonly string[], tokenizer: Tokenizer): Int32Array[] {
  return texts.map((text) => tokenizer.encode(text));
}

function encodeAll(texts: readonly string[], tokenizer: Tokenizer): Int32Array {
  const parts = encodeEach(texts, tokenizer);
  const all = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** At most `count` whole windows from texts in turns. */
function windows(texts: readonly Int32Array[], length: number, count: number): Int32Array[] {
  const found: Int32Array[] = [];
  for (let round = 0; found.length < count; round++) {
    const own = texts.map((ids) => ids.slice(round * length, (round + 1) * length));
    const whole = own.filter((ids) => ids.length === length);
    if (whole.length === 0) break;
    found.push(...whole.slice(0, count - found.length));
  }
  return found;
}
