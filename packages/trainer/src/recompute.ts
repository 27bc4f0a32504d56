import type { Recompute } from '@frugal/tensor-core';
import { TrainerError } from './errors.js';
import type { TrainableModel } from './options.js';

/**
 * Lets the model store only what goes into its blocks, and compute them again backward; call the result to undo it.
 * @throws TrainerError for models that cannot
 */
export function useRecompute(model: TrainableModel, recompute: Recompute | undefined): () => void {
  const before = model.recompute;
  if (recompute === undefined) return () => {};
  if (before === undefined) {
    throw new TrainerError({
      where: 'train',
      what: 'the model cannot compute its blocks again',
      hint: 'Leave recompute out, or give the model a property recompute that its forward pass follows.',
    });
  }
  model.recompute = recompute;
  return () => {
    model.recompute = before;
  };
}
