import { defineMethod } from '@frugal/compress';
import { nextTokenLoss } from '@frugal/tensor-core/nn';

/** Plain training on the next token, as a stage of a recipe: finetuning, or healing without a teacher. */
export const nextTokenTraining = defineMethod('train.next-token', {}, () => ({
  sites: ['block'],
  needs: { training: true },
  plan: (sites) => ({
    sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
    problems: [],
  }),
  train: ({ student }) => ({
    loss: ({ targets, weights, student: output }) =>
      nextTokenLoss(output.hidden, student.head, targets, weights),
  }),
}));
