import { type ModifierFactory, parseRecipe, presetRecipe, type Recipe } from '@frugal/compress';
import { logitDistillation } from '@frugal/distill';
import { layerPruning, wanda } from '@frugal/prune';
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

const eightBitHead = {
  type: 'quant.rtn',
  targets: { include: ['head'] },
  format: 'int8-channel',
  activation: 'none',
} as const;

const stages = (...all: (readonly [name: string, ...modifiers: object[]])[]): Recipe =>
  parseRecipe({ version: 1, seed: 0, stages: all.map(([name, ...modifiers]) => ({ name, modifiers })) });

/**
 * GPTQ for all matrices but the wide ones that lead back from the neurons: to invert the statistics of those takes longer
 * than all others together. They are rounded to nearest, in smaller groups.
 */
const int4 = (model: CausalLM): Recipe => {
  const [{ modifiers }] = presetRecipe('int4-gptq', model).stages;
  const gptq = { ...modifiers[0], targets: { ...blocks, exclude: ['**.down'] } };
  const down = { type: 'quant.rtn', targets: { include: ['blocks.*.mlp.down'] }, format: 'int4-g32' };
  return stages(['int4', gptq, down, eightBitHead]);
};

/** Two of every four weights go by Wanda, the others are kept in 8 bits. */
const sparse = stages(
  ['prune', { type: 'prune.wanda', targets: blocks, sparsity: '2:4' }],
  ['pack', { type: 'quant.rtn', targets: blocks, format: '2:4-int8' }, eightBitHead],
);

const distilled = stages(['distil', { type: 'distill.logits', targets: { include: ['blocks.*'] } }]);

export const forms: readonly Form[] = [
  { name: 'W8A8', key: 'w8a8', from: null, recipe: (model) => presetRecipe('w8a8', model) },
  { name: 'int4 GPTQ', key: 'int4', from: null, recipe: int4 },
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
  wanda,
  layerPruning,
  logitDistillation,
];
