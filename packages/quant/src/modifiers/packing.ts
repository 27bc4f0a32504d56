import { type Edit, type LinearSite, type PlannedSite, RecipeError } from '@frugal/compress';
import { type Backend, currentBackend, type PackedTensor } from '@frugal/tensor-core';
import { type PackedActivation, packedByteLength, recommendedActivation } from '@frugal/tensor-core/formats';
import { Linear, type LinearLike, PackedEmbedding, PackedLinear } from '@frugal/tensor-core/nn';

/** What {@link packedEdits} will make of a layer; a format that cannot hold it is one of the problems. */
export function planPacking(
  { path, layer, sharedWith }: LinearSite,
  format: string,
  activation: PackedActivation | undefined,
  problems: string[],
): PlannedSite {
  const bytesBefore = layer.weightBytes;
  try {
    const bytesAfter = packedByteLength(format, layer.outFeatures, layer.inFeatures);
    const packed = { format, activation: activation ?? recommendedActivation(format), sharedWith };
    return { path, bytesBefore, bytesAfter, packed };
  } catch (error) {
    problems.push(`${path}: ${(error as Error).message}`);
    return { path, bytesBefore, bytesAfter: bytesBefore };
  }
}

/** A packed matrix in the place of a layer's weight, and of the embedding that is tied to it. */
export function packedEdits(
  { path, layer, sharedWith }: LinearSite,
  packed: PackedTensor,
  activation: PackedActivation = packed.recommendedActivation,
): Edit[] {
  const options = { bias: layer.bias, activation: activation === 'none' ? null : activation };
  return [
    { path, module: new PackedLinear(packed, options) },
    ...sharedWith.map((shared) => ({ path: shared, module: new PackedEmbedding(packed) })),
  ];
}

/** Where a layer's weight lies. */
export function backendOf({ base }: LinearLike): Backend {
  return base instanceof Linear ? base.weight.value.backend : currentBackend();
}

/** The format, or the fallback for a layer that it cannot hold. */
export function formatFor(layer: LinearLike, format: string, fallback: string | undefined): string {
  if (fallback === undefined) return format;
  try {
    packedByteLength(format, layer.outFeatures, layer.inFeatures);
    return format;
  } catch {
    return fallback;
  }
}

/**
 * An earlier stage may have packed what `plan` still saw as dense: rounding twice would add errors unnoticed.
 * @throws RecipeError for a layer that is packed
 */
export function refusePacked(where: string, { layer, path }: LinearSite): void {
  if (!(layer.base instanceof PackedLinear)) return;
  throw new RecipeError({
    where,
    what: 'the layer is packed already',
    got: path,
    hint: 'Exclude it, or leave out the earlier stage.',
  });
}
