import { type Modifier, type ModifierFactory, type ModifierSpec, RecipeError } from '@frugal/compress';
import { type CausalLM, distillationLoss, nextTokenLoss } from '@frugal/tensor-core/nn';
import { z } from 'zod';

const optionsSchema = z.strictObject({
  type: z.literal('distill.logits'),
  targets: z.unknown(),
  /** Softens both distributions; 1 was best for small models trained on raw text. */
  temperature: z.number().positive().default(1),
  /** Share of the teacher's distribution in the loss; the rest is the next token itself. */
  alpha: z.number().min(0).max(1).default(1),
});

/**
 * Knowledge distillation on logits (Hinton et al. 2015, arXiv:1503.02531): the student learns the teacher's whole
 * next-token distribution, alpha · T² · KL(teacher ‖ student) + (1 - alpha) · cross-entropy.
 */
export const logitDistillation: ModifierFactory = {
  type: 'distill.logits',
  create(spec: ModifierSpec): Modifier {
    const parsed = optionsSchema.safeParse(spec);
    if (!parsed.success)
      throw new RecipeError({
        where: 'distill.logits',
        what: 'bad options',
        got: z.prettifyError(parsed.error),
      });
    const { temperature, alpha } = parsed.data;
    return {
      spec,
      sites: ['block'],
      needs: { training: true, teacher: true },
      plan: (sites) => ({
        sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
        problems: [],
      }),
      train: ({ student, teacher }) => ({
        loss({ targets, weights, student: output, teacher: target }) {
          if (!teacher || !target)
            throw new RecipeError({
              where: 'distill.logits',
              what: 'no teacher',
              hint: 'Pass a teacher to compress().',
            });
          requireSameVocabulary(student, teacher);
          const soft = () =>
            distillationLoss(
              output.hidden,
              student.head,
              { hidden: target.hidden, head: teacher.head },
              { temperature, weights },
            );
          const hard = () => nextTokenLoss(output.hidden, student.head, targets, weights);
          if (alpha === 1) return soft();
          return alpha === 0
            ? hard()
            : soft()
                .mul(alpha)
                .add(hard().mul(1 - alpha));
        },
      }),
    };
  },
};

/** Each logit is compared with the teacher's of the same token. */
function requireSameVocabulary(student: CausalLM, teacher: CausalLM): void {
  if (student.head.outFeatures === teacher.head.outFeatures) return;
  throw new RecipeError({
    where: 'distill.logits',
    what: 'student and teacher have different vocabularies',
    got: `${student.head.outFeatures} and ${teacher.head.outFeatures} tokens`,
    hint: 'Both must use one tokenizer.',
  });
}
