import type { TensorView } from '../backend.js';
import type { RandomAttributes } from '../ops/specs.js';
import { philox4x32 } from '../philox.js';
import { defineKernels } from './kernels.js';
import { writeFloats, writeNumbers } from './values.js';

/** Calls `store` with the four random words of each Philox block that the output needs. */
function drawBlocks(
  output: TensorView,
  { seed, counter }: RandomAttributes,
  store: (out: Float32Array, start: number, words: Uint32Array) => void,
): void {
  const words = new Uint32Array(4);
  writeFloats(output, (out) => {
    for (let start = 0; start < out.length; start += 4) {
      philox4x32(counter + start / 4, seed[0], seed[1], words);
      store(out, start, words);
    }
  });
}

/** The 24 upper bits as a number in [0, 1). */
function unit(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

export const creationKernels = defineKernels<'fill' | 'arange' | 'randomUniform' | 'randomNormal'>({
  fill: (_, [out], { value }) => writeNumbers(out, (array) => void array.fill(value)),

  arange: (_, [output], { start, step }) => {
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = start + i * step;
    });
  },

  // Element i is word i mod 4 of block counter + ⌊i / 4⌋.
  randomUniform: (_, [output], attributes) => {
    drawBlocks(output, attributes, (out, start, words) => {
      for (let i = 0; i < 4 && start + i < out.length; i++) out[start + i] = unit(words[i]);
    });
  },

  // Box–Muller: words (0, 1) of a block give elements 0 and 1, words (2, 3) elements 2 and 3.
  randomNormal: (_, [output], attributes) => {
    drawBlocks(output, attributes, (out, start, words) => {
      for (let pair = 0; pair < 4; pair += 2) {
        const radius = Math.sqrt(-2 * Math.log(unit(words[pair]) + 2 ** -24)); // in (0, 1]: the logarithm is finite
        const angle = 2 * Math.PI * unit(words[pair + 1]);
        if (start + pair < out.length) out[start + pair] = radius * Math.cos(angle);
        if (start + pair + 1 < out.length) out[start + pair + 1] = radius * Math.sin(angle);
      }
    });
  },
});
