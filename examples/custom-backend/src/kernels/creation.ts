import type { RandomAttributes, TensorView } from '@frugal/tensor-core';
import { fill } from '../views.js';
import type { Family } from './machine.js';

const MULTIPLIERS = [0xd2511f53n, 0xcd9e8d57n] as const;
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const;

/** Four random words: Philox4x32-10 (Salmon et al. 2011), so that every backend draws the same numbers. */
function philox(counter: number, [low, high]: readonly [number, number]): readonly number[] {
  let words = [counter >>> 0, Math.floor(counter / 2 ** 32) >>> 0, 0, 0];
  const key = [low, high];
  for (let round = 0; round < 10; round++) {
    const [first, second] = [MULTIPLIERS[0] * BigInt(words[0]), MULTIPLIERS[1] * BigInt(words[2])];
    const upper = (product: bigint) => Number(product >> 32n);
    const lower = (product: bigint) => Number(product & 0xffffffffn);
    words = [
      (upper(second) ^ words[1] ^ key[0]) >>> 0,
      lower(second),
      (upper(first) ^ words[3] ^ key[1]) >>> 0,
      lower(first),
    ];
    for (const i of [0, 1]) key[i] = (key[i] + KEY_STEPS[i]) >>> 0;
  }
  return words;
}

/** Fills four elements at a time with what `make` makes of four numbers in [0, 1) of 24 bits. */
function draw(
  output: TensorView,
  { seed, counter }: RandomAttributes,
  make: (uniform: readonly number[]) => readonly number[],
): void {
  fill(output, (out) => {
    for (let start = 0; start < out.length; start += 4) {
      const uniform = philox(counter + start / 4, seed).map((word) => (word >>> 8) * 2 ** -24);
      out.set(make(uniform).slice(0, out.length - start), start);
    }
  });
}

/** Box–Muller: two uniform numbers give two normal ones. */
function normalPair(first: number, second: number): readonly [number, number] {
  const radius = Math.sqrt(-2 * Math.log(first + 2 ** -24)); // in (0, 1]: the logarithm is finite
  const angle = 2 * Math.PI * second;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

export const creationKernels: Family<'fill' | 'arange' | 'randomUniform' | 'randomNormal'> = () => ({
  fill: (_, [output], { value }) => fill(output, (out) => void out.fill(value)),

  arange: (_, [output], { start, step }) =>
    fill(output, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = start + i * step;
    }),

  randomUniform: (_, [output], attributes) => draw(output, attributes, (uniform) => uniform),
  randomNormal: (_, [output], attributes) =>
    draw(output, attributes, ([a, b, c, d]) => [...normalPair(a, b), ...normalPair(c, d)]),
});
