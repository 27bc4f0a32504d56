import { defineMethod, type ModifierFactory, RecipeError } from '@frugal/compress';
import { tensor } from '@frugal/tensor-core';
import { type BatchSource, nextTokenLoss } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { alignBatch, type TextTokenizer } from './align-tokens.js';
import { uldLoss } from './losses/index.js';

const options = {
  temperature: z.number().positive().default(1),
  /** Multiplies the distance of the sorted probabilities; the next token itself counts 1 (the paper has 1.5). */
  weight: z.number().positive().default(1.5),
};

export interface UldTokenizers {
  readonly student: TextTokenizer;
  readonly teacher: TextTokenizer;
}

/**
 * `distill.uld`: distillation from a teacher with another tokenizer (ULD, Boizard et al. 2024, arXiv:2402.12030),
 * cross-entropy + weight · distance of the sorted probabilities, at the rows where tokens of both end at the same byte.
 */
export function universalDistillation(tokenizers: UldTokenizers): ModifierFactory {
  return defineMethod('distill.uld', options, ({ temperature, weight: factor }) => ({
    sites: ['block'],
    needs: { training: true, teacher: true },
    plan: (sites) => ({
      sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
      problems: [],
    }),
    train: ({ student, teacher, data }) => {
      if (!teacher || !data) {
        throw new RecipeError({
          where: 'distill.uld',
          what: teacher ? 'no data' : 'no teacher',
          hint: 'Pass both to compress().',
        });
      }
      return {
        batches: alignedBatches(data, tokenizers),
        loss({ batch, targets, weights, student: output, teacher: target }) {
          const hard = nextTokenLoss(output.hidden, student.head, targets, weights);
          const { rowPairs } = batch;
          if (!rowPairs?.student.length || !target) return hard; // one sequence alone may have no pairs
          const [ours, theirs] = [tensor(rowPairs.student), tensor(rowPairs.teacher)];
          const soft = uldLoss(
            output.hidden.gatherRows(ours),
            student.head,
            { hidden: target.hidden.gatherRows(theirs), head: teacher.head },
            { temperature, weights: weights?.gatherRows(ours) },
          );
          return hard.add(soft.mul(factor));
        },
      };
    },
  }));
}

/** Batches in the tokens of both. Those where nothing lines up are passed over. */
function alignedBatches(source: BatchSource, { student, teacher }: UldTokenizers): BatchSource {
  return {
    async next() {
      for (let attempt = 0; attempt < 100; attempt++) {
        const aligned = alignBatch(await source.next(), student, teacher);
        if (aligned) return aligned;
      }
      throw new RecipeError({
        where: 'distill.uld',
        what: 'no tokens of student and teacher end at the same place in 100 batches',
        hint: 'Is the data made with the tokenizer of the student?',
      });
    },
    state: () => source.state(),
    restore: (state) => source.restore(state),
  };
}
