import type { ModifierFactory } from '@frugal/compress';
import { expertPruning } from './modifiers/experts.js';
import { gradualPruning } from './modifiers/gradual.js';
import { layerPruning } from './modifiers/layers.js';
import { expertMerging } from './modifiers/merge-experts.js';
import { headPruning, neuronPruning } from './modifiers/units.js';
import { magnitude, sparseGptPruning, wanda } from './modifiers/weights.js';
import { widthPruning } from './modifiers/width.js';

/** Every method of this package that a recipe can name. */
export const pruneMethods: readonly ModifierFactory[] = [
  magnitude,
  wanda,
  sparseGptPruning,
  gradualPruning,
  neuronPruning,
  headPruning,
  layerPruning,
  widthPruning,
  expertMerging,
  expertPruning,
];
