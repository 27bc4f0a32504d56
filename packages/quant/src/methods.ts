import type { ModifierFactory } from '@frugal/compress';
import { awq } from './modifiers/awq.js';
import { cacheQuantization } from './modifiers/cache.js';
import { clip } from './modifiers/clip.js';
import { expertBits } from './modifiers/expert-bits.js';
import { ggufQuantization } from './modifiers/gguf.js';
import { gptqQuantization } from './modifiers/gptq.js';
import { quantizationAwareTraining } from './modifiers/quantization-aware.js';
import { rotate } from './modifiers/rotate.js';
import { roundToNearest } from './modifiers/round-to-nearest.js';
import { smoothQuant } from './modifiers/smooth-quant.js';

/** Every method of this package that a recipe can name. */
export const quantMethods: readonly ModifierFactory[] = [
  roundToNearest,
  ggufQuantization,
  gptqQuantization,
  awq,
  clip,
  expertBits,
  smoothQuant,
  rotate,
  quantizationAwareTraining,
  cacheQuantization,
];
