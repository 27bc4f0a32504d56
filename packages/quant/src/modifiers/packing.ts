import type { Edit, LinearSite, PlannedSite } from '@frugal/compress';
import type { PackedTensor } from '@frugal/tensor-core';
import { type PackedActivation, packedByteLength, recommendedActivation } from '@frugal/tensor-core/formats';
import { PackedEmbedding, PackedLinear } from '@frugal/tensor-core/nn';

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
