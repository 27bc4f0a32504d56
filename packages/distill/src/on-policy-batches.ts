import { createHash } from 'node:crypto';
import { ArgumentError } from '@frugal/tensor-core';
import { type GenerationRequest, generateBatch } from '@frugal/tensor-core/generation';
import type { BatchSource, CausalLM, TrainBatch } from '@frugal/tensor-core/nn';

export interface OnPolicyOptions {
  /** Share of batches that the student writes: 0 is distillation on the data alone, 1 on its own texts alone. */
  readonly lambda: number;
  /** Tokens of each sequence that are given to the student; the rest it writes. Default: half of them. */
  readonly promptTokens?: number | undefined;
  /** At which the student writes. Default 1: its own distribution. */
  readonly temperature?: number | undefined;
  /** Tokens that end a text. */
  readonly stopIds?: readonly number[] | undefined;
  readonly seed: number;
}

interface OnPolicyState {
  readonly step: number;
  readonly source: unknown;
}

/**
 * Batches of generalized knowledge distillation (GKD, Agarwal et al. 2023, arXiv:2306.13649): with probability λ the student,
 * as it is at that step, continues the beginnings of the sequences, and what it wrote alone counts; so it learns from the
 * teacher what to do after its own mistakes. A run that is resumed draws the same batches.
 */
export function onPolicyBatches(
  source: BatchSource,
  student: CausalLM,
  options: OnPolicyOptions,
): BatchSource {
  let step = 0;
  return {
    async next() {
      const batch = await source.next();
      const draw = drawOf(options.seed, step++);
      return draw.share < options.lambda ? write(student, batch, options, draw.seed) : batch;
    },
    state: (): OnPolicyState => ({ step, source: source.state() }),
    restore(state) {
      const saved = state as OnPolicyState;
      source.restore(saved.source);
      step = saved.step;
    },
  };
}

/** The student's continuations of the beginnings of a batch. */
async function write(
  student: CausalLM,
  { sequences }: TrainBatch,
  { promptTokens, temperature = 1, stopIds }: OnPolicyOptions,
  seed: number,
): Promise<TrainBatch> {
  const requests = sequences.map((sequence, i): GenerationRequest => {
    const { length } = sequence;
    const given = promptTokens ?? Math.floor(length / 2);
    requireRoom(given, length);
    const prompt = sequence.subarray(0, given);
    return { prompt, maxTokens: length - given, temperature, seed: seed + i, stopIds };
  });
  const written = requests.map(({ prompt }) => Array.from(prompt));
  for await (const { request, id } of generateBatch(student, requests)) written[request].push(id);
  const targets = written.flatMap((ids, i) => {
    const given = requests[i].prompt.length;
    // The last token has nothing after it; what was given is not the student's.
    return ids.map((_, row) => (row >= given - 1 && row + 1 < ids.length ? ids[row + 1] : -100));
  });
  return { sequences: written.map((ids) => Int32Array.from(ids)), targets: Int32Array.from(targets) };
}

function requireRoom(given: number, length: number): void {
  if (given >= 1 && given < length) return;
  throw new ArgumentError({
    where: 'onPolicyBatches',
    what: 'the student has nothing to continue, or no room for it',
    got: `${given} tokens of ${length}`,
    hint: 'Give promptTokens between 1 and the length of the sequences.',
  });
}

/** A number in [0, 1) and a seed for a step: the same however often the run was interrupted. */
function drawOf(seed: number, step: number): { readonly share: number; readonly seed: number } {
  const digest = createHash('sha256').update(`${seed}:${step}:on-policy`).digest();
  return { share: digest.readUInt32LE(0) / 2 ** 32, seed: digest.readUInt32LE(4) >>> 1 };
}
