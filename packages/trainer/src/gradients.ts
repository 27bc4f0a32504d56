import { sumOfSquares, type Tensor, tensor } from '@frugal/tensor-core';
import { TrainerError } from './errors.js';
import type { NamedParameter } from './optimizers/optimizer.js';

export interface GradientSummary {
  /** f32 []: Euclidean norm of all gradients together, divided by `divisor`. */
  readonly norm: Tensor;
  /** f32 []: what gradients must be multiplied by: 1 / divisor, and less where the norm is above `clipNorm`. */
  readonly scale: Tensor;
}

/** Measures all gradients without reading a value back. */
export function summarizeGradients(
  parameters: readonly NamedParameter[],
  divisor: number,
  clipNorm: number | undefined,
): GradientSummary {
  const gradients = parameters.flatMap(({ parameter }) => parameter.gradient ?? []);
  if (gradients.length === 0) {
    throw new TrainerError({
      where: 'train',
      what: 'the loss gave no trainable parameter a gradient',
      hint: 'Check that the loss uses the model that is trained, and which parameters are trainable.',
    });
  }
  const norm = sumOfSquares(...gradients)
    .sqrt()
    .mul(1 / divisor);
  if (clipNorm === undefined) return { norm, scale: tensor(1 / divisor, { backend: norm.backend }) };
  const clip = tensor(clipNorm, { backend: norm.backend }).div(norm.add(1e-6)).minimum(1);
  return { norm, scale: clip.mul(1 / divisor) };
}
