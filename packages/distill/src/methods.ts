import type { ModifierFactory } from '@frugal/compress';
import { hiddenDistillation } from './hidden.js';
import { logitDistillation } from './logits.js';
import { nextTokenTraining } from './next-token.js';

/** Every method of this package that a recipe can name. */
export const distillMethods: readonly ModifierFactory[] = [
  logitDistillation,
  hiddenDistillation,
  nextTokenTraining,
];
