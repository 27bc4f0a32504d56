import { type CompressOptions, compress, parseRecipe } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { type BatchSource, type CausalLM, nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, schedules, train } from '@frugal/trainer';

export const VOCABULARY = 40;

/** A random model of a few thousand parameters. */
export function tinyModel(seed: number, changes: object = {}): CausalLM {
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    vocab_size: VOCABULARY,
    max_position_embeddings: 64,
    tie_word_embeddings: false,
  };
  return createModel({ ...config, ...changes }, { seed });
}

export function tinyData(seed = 5, length = 12, batch = 4): BatchSource {
  let step = 0;
  return {
    next() {
      const random = randomIntegers(seed + 1000 * (step++ % 8));
      return nextTokenBatch(Array.from({ length: batch }, () => Int32Array.from({ length }, random)));
    },
    state: () => step,
    restore: (state) => {
      step = state as number;
    },
  };
}

function randomIntegers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * VOCABULARY);
  };
}

/** Trains `student` by one stage of these modifiers; returns the loss of the first and the last step. */
export async function distilled(
  student: CausalLM,
  modifiers: readonly object[],
  options: Omit<CompressOptions, 'train'>,
  steps = 30,
): Promise<{ readonly first: number; readonly last: number; readonly paths: readonly string[] }> {
  const targets = { include: ['blocks.*'] };
  const stage = { name: 'distill', modifiers: modifiers.map((each) => ({ targets, ...each })) };
  const losses: number[] = [];
  let paths: string[] = [];
  await compress(student, parseRecipe({ version: 1, seed: 3, stages: [stage] }), {
    ...options,
    train: async (job) => {
      paths = [...job.model.namedParameters()].map(([path]) => path);
      const schedule = schedules.constant({ peak: 1e-2 });
      for await (const event of train({ ...job, steps, optimizer: new AdamW(), schedule }))
        if (event.type === 'step') losses.push(event.loss);
      return {};
    },
  });
  return { first: losses[0], last: losses[losses.length - 1], paths };
}
