import { type ModifierFactory, parseRecipe, presetRecipe, type Recipe } from '@frugal/compress';
import { logitDistillation } from '@frugal/distill';
import { layerPruning, sparseGptPruning } from '@frugal/prune';
import { gptqQuantization, roundToNearest, smoothQuant } from '@frugal/quant';
import type { CausalLM } from '@frugal/tensor-core/nn';

/** One compressed form: which form it is made of, and by what. */
export interface Form {
  readonly name: string;
  /** Its folder. */
  readonly key: string;
  /** Of which other form it is made; null: of the source. */
  readonly from: string | null;
  recipe(model: CausalLM): Recipe;
}

const blocks = { include: ['blocks.**'] };

/** Two of every four weights go by SparseGPT, the others are kept in 8 bits. */
const sparse = parseRecipe({
  version: 1,
  seed: 0,
  stages: [
    { name: 'prune', modifiers: [{ type: 'prune.sparsegpt', targets: blocks, sparsity: '2:4' }] },
    {
      name: 'pack',
      modifiers: [
        { type: 'quant.rtn', targets: blocks, format: '2:4-int8' },
        { type: 'quant.rtn', targets: { include: ['head'] }, format: 'int8-channel', activation: 'none' },
      ],
    },
  ],
});

const distilled = parseRecipe({
  version: 1,
  seed: 0,
  stages: [{ name: 'distil', modifiers: [{ type: 'distill.logits', targets: { include: ['blocks.*'] } }] }],
});

export const forms: readonly Form[] = [
  { name: 'W8A8', key: 'w8a8', from: null, recipe: (model) => presetRecipe('w8a8', model) },
  { name: 'int4 GPTQ', key: 'int4', from: null, recipe: (model) => presetRecipe('int4-gptq', model) },
  { name: '2:4 sparse, int8', key: 'sparse', from: null, recipe: () => sparse },
  { name: 'half the layers', key: 'half', from: null, recipe: (model) => presetRecipe('half-depth', model) },
  { name: 'half, distilled', key: 'half-distilled', from: 'half', recipe: () => distilled },
  {
    name: 'half, distilled, W8A8',
    key: 'half-distilled-w8a8',
    from: 'half-distilled',
    recipe: (model) => presetRecipe('w8a8', model),
  },
];

export const methods: readonly ModifierFactory[] = [
  roundToNearest,
  smoothQuant,
  gptqQuantization,
  sparseGptPruning,
  layerPruning,
  logitDistillation,
];
