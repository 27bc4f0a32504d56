import type { TensorView } from '../backend.js';
import type { AdamWAttributes } from '../ops/specs.js';
import { defineKernels } from './kernels.js';
import { rawInPlace, readFloats, writeFloats } from './values.js';

/** Entries of a map, and the numbers halfway between neighbours: below them the lower entry is nearer. */
interface CodeMap {
  readonly entries: Float32Array;
  readonly midpoints: Float32Array;
}

function codeMap(view: TensorView): CodeMap {
  const entries = readFloats(view);
  const midpoints = entries.subarray(1).map((entry, i) => Math.fround(entries[i] + entry) * 0.5);
  return { entries, midpoints };
}

/** Rounds a block to the nearest entries times its largest magnitude, which it returns. */
function packBlock(
  values: Float32Array,
  codes: Uint8Array,
  { midpoints }: CodeMap,
  smallestPositive: number,
): number {
  const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  for (let i = 0; i < codes.length; i++) {
    const unit = scale === 0 ? 0 : Math.fround(values[i] / scale);
    let code = 0;
    for (let bit = 128; bit >= 1; bit /= 2) if (midpoints[code + bit - 1] < unit) code += bit;
    codes[i] = unit > 0 ? Math.max(code, smallestPositive) : code;
  }
  return scale;
}

function updateGroup(
  [parameter, first, firstScale, second, secondScale, gradient, copy]: readonly TensorView[],
  factor: number,
  [firstMap, secondMap]: readonly CodeMap[],
  { learningRate, beta1, beta2, epsilon, weightDecay, step }: AdamWAttributes,
): void {
  const [p, firstScales, secondScales] = [parameter, firstScale, secondScale].map(rawInPlace);
  const [firstCodes, secondCodes] = [first, second].map((codes) => rawInPlace(codes) as Uint8Array);
  const g = readFloats(gradient);
  const stepSize = learningRate / (1 - beta1 ** step);
  const secondCorrection = 1 / (1 - beta2 ** step);
  const decay = 1 - learningRate * weightDecay;
  const length = first.shape[1];
  const [m, v] = [new Float32Array(length), new Float32Array(length)];
  for (let block = 0; block < first.shape[0]; block++) {
    const start = block * length;
    const a = firstCodes.subarray(start, start + length);
    const b = secondCodes.subarray(start, start + length);
    for (let i = 0; i < length; i++) {
      const value = start + i < g.length ? g[start + i] * factor : 0; // the last block may be longer than what is left
      m[i] = beta1 * Math.fround(firstMap.entries[a[i]] * firstScales[block]) + (1 - beta1) * value;
      v[i] = beta2 * Math.fround(secondMap.entries[b[i]] * secondScales[block]) + (1 - beta2) * value * value;
      if (start + i >= p.length) continue;
      p[start + i] =
        p[start + i] * decay - (stepSize * m[i]) / (Math.sqrt(v[i] * secondCorrection) + epsilon);
    }
    firstScales[block] = packBlock(m, a, firstMap, 0);
    secondScales[block] = packBlock(v, b, secondMap, 1);
  }
  if (copy) writeFloats(copy, (out) => out.set(p as Float32Array));
}

export const quantizedOptimizerKernels = defineKernels<'adamw8bit'>({
  adamw8bit: (inputs, _, attributes) => {
    const [scale, finite] = inputs.slice(-4, -2).map((factor) => readFloats(factor)[0]);
    if (finite === 0) return;
    const maps = inputs.slice(-2).map(codeMap);
    const width = attributes.copies ? 7 : 6;
    for (let i = 0; i + width <= inputs.length - 4; i += width)
      updateGroup(inputs.slice(i, i + width), scale, maps, attributes);
  },
});
