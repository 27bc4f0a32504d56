import { isLinearLike, type Model } from '@frugal/tensor-core/nn';
import { RecipeError } from './errors.js';
import type { ModifierSpec, Recipe } from './recipe.js';

const blocks = { include: ['blocks.**'] };
const head = { include: ['head'] };
const everything = { include: ['**'] };
/** Not queries and keys: what is cut from them shifts every score of the softmax the same way (AWQ leaves them, too). */
const clippable = { ...blocks, exclude: ['blocks.**.query', 'blocks.**.key'] };
/** What reads the neurons of MLPs and experts. */
const downs = { include: ['blocks.**.down', 'blocks.**.down.**'] };

interface Preset {
  /** One line for people. */
  readonly summary: string;
  stages(model: Model): readonly (readonly [name: string, ...modifiers: ModifierSpec[]])[];
  /** How stages train that do, by name. */
  readonly training?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Largest usual group size that divides the width of every layer in the blocks; else 32, with a shorter last group. */
export function groupSize(model: Model): number {
  const widths = [...model.namedModules()]
    .filter(([path, module]) => path.startsWith('blocks.') && isLinearLike(module))
    .map(([, module]) => (isLinearLike(module) ? module.inFeatures : 0));
  return [128, 64, 32].find((size) => widths.every((width) => width % size === 0)) ?? 32;
}

const int8Head: ModifierSpec = {
  type: 'quant.rtn',
  targets: head,
  format: 'int8-channel',
  activation: 'none',
};

/** llama.cpp's mixture for `_M`: which layers keep more bits in the value and down projections. */
function moreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

function q4KM(model: Model): ModifierSpec[] {
  const layers = model.blocks.length;
  const rich = Array.from({ length: layers }, (_, i) => i).filter((i) => moreBits(i, layers));
  const richPaths = rich.flatMap((i) => [`blocks.${i}.attention.value`, `blocks.${i}.mlp.down`]);
  return [
    {
      type: 'quant.gguf',
      targets: { include: ['blocks.**'], exclude: richPaths },
      format: 'q4_k',
      fallback: 'q5_0',
    },
    { type: 'quant.gguf', targets: { include: [...richPaths, 'head'] }, format: 'q6_k', fallback: 'q8_0' },
  ];
}

export const presets: Readonly<Record<string, Preset>> = {
  int8: {
    summary: 'weights per output channel and activations per token in 8 bits, without data',
    stages: () => [
      ['int8', { type: 'quant.rtn', targets: everything, format: 'int8-channel', activation: 'int8' }],
    ],
  },
  w8a8: {
    summary: 'as int8 after SmoothQuant, with the head weight-only: for activations with outliers',
    stages: () => [
      ['smooth', { type: 'quant.smooth', targets: blocks, strength: 0.5 }],
      ['int8', { type: 'quant.rtn', targets: blocks, format: 'int8-channel', activation: 'int8' }, int8Head],
    ],
  },
  'w8a8-rotate': {
    summary:
      'as w8a8, without data: rotated, with Hadamard matrices before what rotation cannot reach; Frugal alone runs it',
    stages: () => [
      ['rotate', { type: 'quant.rotate', targets: everything }],
      [
        'int8',
        {
          type: 'quant.rtn',
          targets: { ...blocks, exclude: downs.include },
          format: 'int8-channel',
          activation: 'int8',
        },
        { type: 'quant.rtn', targets: downs, format: 'int8-channel-hadamard', activation: 'int8' },
        int8Head,
      ],
    ],
  },
  'int4-gptq': {
    summary: 'weights in groups of 4 bits by GPTQ, head in 8 bits',
    stages: (model) => [
      [
        'int4',
        { type: 'quant.gptq', targets: blocks, format: `int4-g${groupSize(model)}`, actOrder: true },
        int8Head,
      ],
    ],
  },
  'int4-awq': {
    summary: 'weights in groups of 4 bits after activation-aware scaling and clipping, head in 8 bits',
    stages: (model) => [
      ['scale', { type: 'quant.awq', targets: blocks, bits: 4, groupSize: groupSize(model) }],
      [
        'int4',
        { type: 'quant.clip', targets: clippable, bits: 4, groupSize: groupSize(model) },
        { type: 'quant.rtn', targets: blocks, format: `int4-g${groupSize(model)}` },
        int8Head,
      ],
    ],
  },
  q4_k_m: {
    summary: "llama.cpp's mixture of 4 and 6 bit blocks, weighed by calibration data where there is some",
    stages: (model) => [['q4_k_m', ...q4KM(model)]],
  },
  q8_0: {
    summary: 'blocks of 32 weights in 8 bits, as in GGUF files',
    stages: () => [['q8_0', { type: 'quant.rtn', targets: everything, format: 'q8_0' }]],
  },
  nf4: {
    summary: 'the 4 bit normal float of QLoRA, scales quantised too; head in 8 bits',
    stages: () => [['nf4', { type: 'quant.rtn', targets: blocks, format: 'nf4' }, int8Head]],
  },
  fp8: {
    summary: '8 bit floats (E4M3) with a scale per output channel',
    stages: () => [['fp8', { type: 'quant.rtn', targets: blocks, format: 'fp8-channel' }]],
  },
  'wanda-50': {
    summary: 'half of the weights zero, by Wanda',
    stages: () => [['prune', { type: 'prune.wanda', targets: blocks, sparsity: 0.5 }]],
  },
  '2:4': {
    summary: 'two of every four weights zero, by SparseGPT',
    stages: () => [['prune', { type: 'prune.sparsegpt', targets: blocks, sparsity: '2:4' }]],
  },
  'half-depth': {
    summary: 'half of the layers, the ones that change least removed',
    stages: () => [['cut', { type: 'prune.layers', targets: { include: ['blocks.*'] }, keep: 0.5 }]],
  },
  'deepseek-cheap': {
    summary:
      'a quarter of the neurons removed, distilled from the original, then 4 bits by GPTQ (needs training data)',
    training: { distil: { steps: 300, batch: 8, optimizer: 'adamw', learningRate: 5e-4 } },
    stages: (model) => [
      ['prune', { type: 'prune.ffn', targets: blocks, keep: 0.75, multipleOf: 64 }],
      ['distil', { type: 'distill.logits', targets: { include: ['blocks.*'] } }],
      [
        'int4',
        { type: 'quant.gptq', targets: blocks, format: `int4-g${groupSize(model)}`, actOrder: true },
        int8Head,
      ],
    ],
  },
};

/** The recipe of a preset for one model. @throws RecipeError naming the presets that exist */
export function presetRecipe(name: string, model: Model, seed = 0): Recipe {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (!preset) {
    throw new RecipeError({
      where: 'recipe',
      what: 'no such preset',
      got: name,
      expected: Object.keys(presets).join(', '),
    });
  }
  const stages = preset.stages(model).map(([stage, ...modifiers]) => {
    const training = preset.training?.[stage];
    return { name: stage, modifiers, ...(training && { training: { ...training } }) };
  });
  return { version: 1, seed, stages };
}
