import {
  backendOf,
  type Edit,
  type LinearSite,
  linearSites,
  type PlannedSite,
  RecipeError,
  readWeight,
  type Site,
} from '@frugal/compress';
import { PackedTensor } from '@frugal/tensor-core';
import { type PackedActivation, type PackOptions, packedByteLength } from '@frugal/tensor-core/formats';
import { type LinearLike, PackedLinear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { packedEdits, planPacking } from './packing.js';

/** The options of methods that round every weight by itself. */
export const roundingOptions = {
  /** Another format for layers that the first cannot hold: k-quants need widths that are multiples of 256. */
  fallback: z.string().optional(),
  /** How activations are quantised when the model runs; default: what suits the format. */
  activation: z.enum(['none', 'int8', 'int8-block32']).optional(),
};

export interface Rounding {
  readonly format: string;
  readonly fallback?: string | undefined;
  readonly activation?: PackedActivation | undefined;
}

/** What {@link roundLayer} will make of the layers; what stands against it is added to `problems`. */
export function planRounding(sites: readonly Site[], rounding: Rounding, problems: string[]): PlannedSite[] {
  return linearSites(sites).map((site) => {
    const { path, layer } = site;
    if (layer instanceof PackedLinear) problems.push(`${path} is packed already (${layer.weight.format})`);
    const own = formatFor(layer, rounding);
    const planned = planPacking(site, own, rounding.activation, problems);
    return own === rounding.format ? planned : { ...planned, note: own };
  });
}

/**
 * The layer rounded to its format.
 * @throws RecipeError for a layer that is packed: an earlier stage may have packed what `plan` still saw as dense, and
 *   rounding twice would add errors unnoticed
 */
export async function roundLayer(
  where: string,
  site: LinearSite,
  rounding: Rounding,
  options: PackOptions = {},
): Promise<Edit[]> {
  const { layer, path } = site;
  if (layer.base instanceof PackedLinear) {
    throw new RecipeError({
      where,
      what: 'the layer is packed already',
      got: path,
      hint: 'Exclude it, or leave out the earlier stage.',
    });
  }
  const shape = [layer.outFeatures, layer.inFeatures] as const;
  const format = formatFor(layer, rounding);
  const read = (rowStart: number, rowCount: number) => readWeight(layer, path, rowStart, rowCount);
  const packed = await PackedTensor.packRows(format, read, shape, backendOf(layer), options);
  return packedEdits(site, packed, rounding.activation);
}

/** The invariant of rounded layers. */
export async function staysPacked(site: Site, { format, fallback }: Rounding): Promise<string | null> {
  if (site.kind !== 'linear') return null;
  const { base } = site.layer;
  const packed = base instanceof PackedLinear && [format, fallback].includes(base.weight.format);
  return packed ? null : 'the layer is no longer packed';
}

/** The format, or the fallback for a layer that it cannot hold. */
function formatFor(layer: LinearLike, { format, fallback }: Rounding): string {
  if (fallback === undefined) return format;
  try {
    packedByteLength(format, layer.outFeatures, layer.inFeatures);
    return format;
  } catch {
    return fallback;
  }
}
