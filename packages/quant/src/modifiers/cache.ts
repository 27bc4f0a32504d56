import { defineMethod } from '@frugal/compress';
import { type CausalLM, cacheDTypes } from '@frugal/tensor-core/nn';
import { z } from 'zod';

/**
 * How keys and values are stored when the model generates: `q8` is 8 bits with a scale per vector, a quarter of f32. The choice
 * is saved with the model and followed wherever it runs, unless somebody asks for another. What a model says of whole
 * texts (perplexity) needs no cache and does not change.
 */
export const cacheQuantization = defineMethod(
  'quant.cache',
  {
    /** Of every entry that the model does not store in a way of its own. */
    dtype: z.enum(cacheDTypes).default('q8'),
  },
  ({ dtype }) => ({
    sites: ['block'],
    needs: {},
    plan: (sites, model) => ({
      sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0, note: `cache in ${dtype}` })),
      problems: [
        ...('cacheSpec' in model ? [] : ['the model generates nothing: it has no keys and values to keep']),
        ...(sites.length < model.blocks.length
          ? [
              `${sites.length} of ${model.blocks.length} blocks are targets: a cache is stored in one way for all`,
            ]
          : []),
        ...(laterChoice(model as CausalLM, dtype) ? [`the cache is stored in ${dtype} already`] : []),
      ],
    }),
    finish: async () => [{ cache: dtype }],
  }),
);

function laterChoice({ cacheDType }: CausalLM, dtype: string): boolean {
  return cacheDType === dtype;
}
