import { defineMethod, RecipeError } from '@frugal/compress';
import { type CausalLM, nextTokenLoss } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { divergenceByName, divergenceOptions } from './divergence-by-name.js';
import { divergenceLoss } from './losses/index.js';
import { onPolicyBatches } from './on-policy-batches.js';

const options = {
  ...divergenceOptions,
  /** Softens both distributions; 1 was best for small models trained on raw text. */
  temperature: z.number().positive().default(1),
  /** Share of the teacher's distribution in the loss; the rest is the next token itself. */
  alpha: z.number().min(0).max(1).default(1),
  /** Compare the teacher's likeliest tokens alone, and all others as one. */
  topK: z.number().int().positive().optional(),
  /** Tokens of the tokenizer that both use, where one head is padded beyond them. */
  vocabulary: z.number().int().positive().optional(),
  /** Learn from texts that the student writes itself (GKD); see {@link OnPolicyOptions}. */
  onPolicy: z
    .strictObject({
      lambda: z.number().gt(0).max(1),
      promptTokens: z.number().int().positive().optional(),
      temperature: z.number().positive().optional(),
      stopIds: z.array(z.number().int().nonnegative()).optional(),
    })
    .optional(),
};

/**
 * Knowledge distillation on logits (Hinton et al. 2015, arXiv:1503.02531): the student learns the teacher's whole
 * next-token distribution, alpha · T² · divergence(teacher, student) + (1 - alpha) · cross-entropy.
 */
export const logitDistillation = defineMethod('distill.logits', options, (chosen) => {
  const { temperature, alpha, topK, onPolicy } = chosen;
  const divergence = divergenceByName(chosen);
  return {
    sites: ['block'],
    needs: { training: true, teacher: alpha > 0 },
    plan: (sites) => ({
      sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
      problems: [],
    }),
    train: ({ student, teacher, data, seed }) => {
      const vocabulary = teacher ? sharedVocabulary(student, teacher, chosen.vocabulary) : undefined;
      return {
        ...(onPolicy && data && { batches: onPolicyBatches(data, student, { ...onPolicy, seed }) }),
        loss({ targets, weights, student: output, teacher: target }) {
          const hard = () => nextTokenLoss(output.hidden, student.head, targets, weights);
          if (alpha === 0) return hard();
          if (!teacher || !target) {
            throw new RecipeError({
              where: 'distill.logits',
              what: 'no teacher',
              hint: 'Pass a teacher to compress().',
            });
          }
          const soft = () =>
            divergenceLoss(
              output.hidden,
              student.head,
              { hidden: target.hidden, head: teacher.head },
              { divergence, temperature, weights, topK, vocabulary },
            );
          return alpha === 1
            ? soft()
            : soft()
                .mul(alpha)
                .add(hard().mul(1 - alpha));
        },
      };
    },
  };
});

/**
 * Ids from 0 that both heads have: each logit is compared with the teacher's of the same token, so a difference in size
 * must be declared as padding. @throws RecipeError when it is not, or the tokenizer has more tokens than a head
 */
export function sharedVocabulary(
  student: CausalLM,
  teacher: CausalLM,
  vocabulary?: number,
): number | undefined {
  const [ours, theirs] = [student.head.outFeatures, teacher.head.outFeatures];
  if (ours === theirs && vocabulary === undefined) return undefined;
  if (vocabulary !== undefined && vocabulary <= Math.min(ours, theirs)) return vocabulary;
  throw new RecipeError({
    where: 'distill',
    what: 'student and teacher have different vocabularies',
    got: `${ours} and ${theirs} tokens`,
    ...(vocabulary !== undefined && { expected: `at least the ${vocabulary} of the tokenizer` }),
    hint: 'If both use one tokenizer and a head is padded, set vocabulary to the tokens of the tokenizer; otherwise use distill.uld.',
  });
}
