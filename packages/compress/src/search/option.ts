import type { Model } from '@frugal/tensor-core/nn';
import { groupSize } from '../presets.js';
import type { ModifierSpec, Targets } from '../recipe.js';

/** A method and its options, without targets. */
export type MethodSpec = Omit<ModifierSpec, 'targets'> & { readonly type: string };

/** Something that can be done to a layer. */
export interface SearchOption {
  /** Unique among the options of a search; names the choice in tables. */
  readonly name: string;
  /** Methods in the order of the recipe's stages; each works on linear layers. None: the layer stays as it is. */
  readonly steps: readonly MethodSpec[];
  /** Layers that it may be chosen for; default: all. */
  readonly targets?: Targets;
}

const blocks: Targets = { include: ['blocks.**'] };
const outside: Targets = { include: ['**'], exclude: ['blocks.**'] };

/**
 * What a search chooses from when nobody says otherwise: integer groups of 2, 3 and 4 bits by GPTQ, 5, 6 and 8 bits rounded to
 * nearest, and the layer as it is. The head is rounded to nearest too, because an embedding may share its matrix. With
 * `sparsity` also every other weight zero, in twos of four or anywhere, the rest in 8 bits.
 */
export function standardOptions(
  model: Model,
  { sparsity = false }: { readonly sparsity?: boolean } = {},
): SearchOption[] {
  const wide = groupSize(model);
  const gptq = (format: string): SearchOption => ({
    name: format,
    steps: [{ type: 'quant.gptq', format, actOrder: true }],
    targets: blocks,
  });
  const nearest = (format: string): SearchOption => ({
    name: `${format}, nearest`,
    steps: [{ type: 'quant.rtn', format }],
    targets: outside,
  });
  const sparse = (sparsity: string | number, format: string): SearchOption => ({
    name: `${typeof sparsity === 'number' ? `${100 * sparsity} %` : sparsity} zeros, int8`,
    steps: [
      { type: 'prune.sparsegpt', sparsity },
      { type: 'quant.rtn', format },
    ],
    targets: blocks,
  });
  const groups = [...new Set([wide, 32])];
  return [
    gptq('int2-g32'),
    gptq(`int3-g${wide}`),
    ...groups.map((size) => gptq(`int4-g${size}`)),
    gptq('int4-g16'),
    nearest('int4-g32'),
    ...['q5_0', 'q6_k', 'int8-g32'].map((format) => ({
      name: format,
      steps: [{ type: 'quant.rtn', format }],
    })),
    {
      name: 'int8-channel',
      steps: [{ type: 'quant.rtn', format: 'int8-channel', activation: 'none' }],
    },
    ...(sparsity ? [sparse('2:4', '2:4-int8'), sparse(0.5, 'bitmap-int8')] : []),
    { name: 'as it is', steps: [] },
  ];
}
