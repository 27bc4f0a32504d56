import { defineMethod, linearSites, type ModifierFactory } from '@frugal/compress';
import { nextTokenLoss } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { attachAdapters } from './attach.js';
import { denseDType } from './dense-weight.js';

/**
 * Trains low-rank adapters on the targeted layers and folds them into the weights: a cheap way to heal a model that was
 * pruned, alone or together with `distill.logits` in the same stage. All other weights are frozen meanwhile.
 */
export const loraAdd: ModifierFactory = {
  type: 'lora.add',
  create(spec) {
    const factory = defineMethod(
      'lora.add',
      {
        rank: z.number().int().positive().default(16),
        /** Default: twice the rank. */
        alpha: z.number().positive().optional(),
        rankStabilized: z.boolean().default(false),
        magnitudes: z.boolean().default(false),
        /** Weights that are zero stay zero: after pruning. Products are made of whole matrices then, which is slower. */
        keepZeros: z.boolean().default(false),
        /** `none` where another method of the stage brings a loss. */
        loss: z.enum(['next-token', 'none']).default('next-token'),
      },
      ({ loss, ...adapter }) => ({
        sites: ['linear'],
        needs: { training: true },
        plan(sites, model) {
          const packed = linearSites(sites).filter(
            ({ path, layer }) => denseDType(model, path, layer.base) === null,
          );
          return {
            sites: linearSites(sites).map(({ path, layer: { weightBytes } }) => ({
              path,
              bytesBefore: weightBytes,
              bytesAfter: weightBytes,
            })),
            problems: packed.map(({ path }) => `${path} is packed: fold adapters in before quantising`),
          };
        },
        train: ({ student, seed }) => ({
          parametrize() {
            const set = attachAdapters(student, { ...adapter, targets: spec.targets, seed });
            set.requireDense('lora.add');
            return { [Symbol.dispose]: () => set.fold() };
          },
          ...(loss === 'next-token' && {
            loss: ({ targets, weights, student: { hidden } }) =>
              nextTokenLoss(hidden, student.head, targets, weights),
          }),
        }),
      }),
    );
    return factory.create(spec);
  },
};
