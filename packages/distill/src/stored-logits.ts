import { defineMethod, type ModifierFactory, RecipeError } from '@frugal/compress';
import { type Tensor, tensor } from '@frugal/tensor-core';
import { nextTokenLoss, type StoredDistributions } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { cachedBatches } from './cache/cached-batches.js';
import type { TeacherCache } from './cache/teacher-cache.js';
import { divergenceByName, divergenceOptions } from './divergence-by-name.js';
import { storedDivergenceLoss, type TopLogs } from './losses/index.js';

const options = {
  ...divergenceOptions,
  /** Share of the teacher's distribution in the loss; the rest is the next token itself. */
  alpha: z.number().gt(0).max(1).default(1),
  /** Tokens of the tokenizer, where the student's head is padded beyond them. */
  vocabulary: z.number().int().positive().optional(),
};

/**
 * `distill.stored`: what `distill.logits` does, from a cache that the teacher filled earlier; the teacher is not loaded.
 * How many tokens of each distribution there are, and their temperature, is what the cache was made with.
 */
export function storedLogitDistillation(cache: TeacherCache): ModifierFactory {
  return defineMethod('distill.stored', options, (chosen) => {
    const { alpha, vocabulary } = chosen;
    const { temperature } = cache.settings;
    const divergence = divergenceByName(chosen);
    return {
      sites: ['block'],
      needs: { training: true },
      plan: (sites) => ({
        sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
        problems: [],
      }),
      train: ({ student, data }) => {
        if (!data) throw new RecipeError({ where: 'distill.stored', what: 'no data', hint: 'Pass data.' });
        return {
          batches: cachedBatches(data, cache),
          loss({ batch, targets, weights, student: output }): Tensor {
            const soft = () =>
              storedDivergenceLoss(output.hidden, student.head, onDevice(batch.distributions), {
                divergence,
                temperature,
                weights,
                vocabulary,
              });
            if (alpha === 1) return soft();
            const hard = nextTokenLoss(output.hidden, student.head, targets, weights);
            return soft()
              .mul(alpha)
              .add(hard.mul(1 - alpha));
          },
        };
      },
    };
  });
}

function onDevice(stored: StoredDistributions | undefined): TopLogs {
  if (!stored)
    throw new RecipeError({ where: 'distill.stored', what: 'a batch without stored distributions' });
  const { topK, indices, logs } = stored;
  return { indices: tensor(indices).reshape(-1, topK), logs: tensor(logs).reshape(-1, topK + 1) };
}
