import type { Model } from '@frugal/tensor-core/nn';
import type { ModifierSpec } from '../recipe.js';

/** A smaller shape of a model, that layers are then chosen for. */
export interface SearchStructure {
  /** Unique among the structures of a search. */
  readonly name: string;
  /** What makes the model smaller, as one stage. None: the model as it is. */
  readonly modifiers: readonly ModifierSpec[];
}

export const UNCHANGED: SearchStructure = { name: 'all layers, full width', modifiers: [] };

/** Fewer layers and narrower MLPs: an eighth and a quarter less of each. */
export function standardStructures(
  model: Model,
  { layers = false, width = false }: { readonly layers?: boolean; readonly width?: boolean },
): SearchStructure[] {
  const counts = [...new Set([8, 4].map((part) => Math.round(model.blocks.length / part)))];
  const fewer = counts
    .filter((count) => count > 0 && count < model.blocks.length)
    .map((remove) => ({
      name: `${model.blocks.length - remove} of ${model.blocks.length} layers`,
      modifiers: [{ type: 'prune.layers', targets: { include: ['blocks.*'] }, remove }],
    }));
  // Multiples of 32 suit packed formats and kernels.
  const narrower = [0.875, 0.75].map((keep) => ({
    name: `MLPs ${keep} times as wide`,
    modifiers: [{ type: 'prune.ffn', targets: { include: ['blocks.**'] }, keep, multipleOf: 32 }],
  }));
  return [...(layers ? fewer : []), ...(width ? narrower : [])];
}
