import { defineMethod, type LinearSite, linearSites, readWeight, type Stats } from '@frugal/compress';
import { noGrad, tensor } from '@frugal/tensor-core';
import { Linear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { shareValues } from './share-values.js';

const options = {
  /** How many different numbers a row of a matrix may hold. */
  values: z.number().int().min(2).max(256).default(16),
  /** What makes a weight matter: the mean square of the activations that it meets, or nothing. */
  importance: z.enum(['calibration', 'none']).default('calibration'),
};

/**
 * `example.shared-values`: each row of a matrix holds at most `values` different numbers, so that a file needs
 * log2(values) bits per weight and a table per row. The layers stay dense, so every tool opens the result.
 */
export const sharedValues = defineMethod('example.shared-values', options, ({ values, importance }) => {
  // Paths where the work is done: until then there is nothing to hold true.
  const done = new Set<string>();
  return {
    sites: ['linear'],
    needs: importance === 'calibration' ? { stats: ['squares'] } : {},

    plan: (sites) => ({
      sites: linearSites(sites).map(({ path, layer }) => ({
        path,
        bytesBefore: layer.weightBytes,
        bytesAfter: layer.weightBytes,
        note: `${packedBytes(layer, values)} bytes when packed`,
      })),
      problems: linearSites(sites).flatMap(({ path, layer }) =>
        layer instanceof Linear ? [] : [`${path} is not dense: share values before quantising`],
      ),
    }),

    async apply(site, statsOf) {
      if (site.kind !== 'linear' || !(site.layer instanceof Linear)) return { edits: [] };
      const { path, layer } = site;
      const before = await readWeight(layer, path);
      const after = await shareRows(before, layer, values, await columnImportance(layer, statsOf(path)));
      const { shape, value } = layer.weight;
      const weight = noGrad(() => tensor(after, { shape, backend: value.backend }).cast(value.dtype));
      done.add(path);
      return { edits: [{ path, values: { weight } }], measured: { bits: Math.log2(values) } };
    },

    async invariant(site) {
      return site.kind === 'linear' && done.has(site.path) ? tooManyValues(site, values) : null;
    },
  };
});

/** Codes of log2(values) bits, and the numbers that they stand for in 16 bits. */
function packedBytes({ inFeatures, outFeatures }: LinearSite['layer'], values: number): number {
  return Math.ceil((outFeatures * inFeatures * Math.ceil(Math.log2(values))) / 8) + outFeatures * values * 2;
}

async function columnImportance({ inFeatures }: Linear, { squares }: Stats): Promise<Float32Array> {
  return squares ? squares.toFloat32() : new Float32Array(inFeatures).fill(1);
}

async function shareRows(
  weight: Float32Array,
  { inFeatures, outFeatures }: Linear,
  values: number,
  importance: Float32Array,
): Promise<Float32Array> {
  const shared = new Float32Array(weight.length);
  for (let row = 0; row < outFeatures; row++) {
    const numbers = weight.subarray(row * inFeatures, (row + 1) * inFeatures);
    shared.set(shareValues(numbers, importance, values), row * inFeatures);
  }
  return shared;
}

/** A sentence when a row holds more numbers than it may. */
async function tooManyValues({ path, layer }: LinearSite, values: number): Promise<string | null> {
  const weight = await readWeight(layer, path);
  const { inFeatures, outFeatures } = layer;
  for (let row = 0; row < outFeatures; row++) {
    const found = new Set(weight.subarray(row * inFeatures, (row + 1) * inFeatures)).size;
    if (found > values) return `row ${row} holds ${found} different numbers instead of ${values}`;
  }
  return null;
}
