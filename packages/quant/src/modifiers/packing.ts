import type { Edit, LinearSite, PlannedPacking } from '@frugal/compress';
import type { PackedTensor } from '@frugal/tensor-core';
import { type PackedActivation, packedByteLength, recommendedActivation } from '@frugal/tensor-core/formats';
import { type LinearLike, PackedEmbedding, PackedLinear } from '@frugal/tensor-core/nn';

/** Bytes of a layer in a packed format; a format that cannot hold it is one of the problems. */
export function bytesAs(format: string, layer: LinearLike, path: string, problems: string[]): number {
  try {
    return packedByteLength(format, layer.outFeatures, layer.inFeatures);
  } catch (error) {
    problems.push(`${path}: ${(error as Error).message}`);
    return layer.weightBytes;
  }
}

/** What {@link packedEdits} will make of a layer. */
export function plannedPacking(
  { sharedWith }: LinearSite,
  format: string,
  activation: PackedActivation = recommendedActivation(format),
): PlannedPacking {
  return { format, activation, sharedWith };
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
