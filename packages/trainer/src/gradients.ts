import { type Backend, sumOfSquares, type Tensor, tensor, transfer } from '@frugal/tensor-core';
import { TrainerError } from './errors.js';
import type { NamedParameter } from './optimizers/optimizer.js';
import { byBackend } from './placement.js';

export interface GradientSummary {
  /** f32 []: Euclidean norm of all gradients together, divided by `divisor`. */
  readonly norm: Tensor;
  /** f32 []: what gradients must be multiplied by: 1 / divisor, and less where the norm is above `clipNorm`. */
  readonly scale: Tensor;
}

/** Measures all gradients, without reading a value back where all lie on `home`. */
export function summarizeGradients(
  parameters: readonly NamedParameter[],
  divisor: number,
  clipNorm: number | undefined,
  home: Backend,
): GradientSummary {
  const gradients = parameters.flatMap(({ parameter }) => parameter.gradient ?? []);
  requireGradients(gradients.length > 0);
  const parts = byBackend(gradients, (gradient) => gradient);
  const norm = [...parts.values()]
    .map((part) => transfer(sumOfSquares(...part), home))
    .reduce((sum, part) => sum.add(part))
    .sqrt()
    .mul(1 / divisor);
  return { norm, scale: scaleOf(norm, divisor, clipNorm) };
}

/** f32 []: 1 / divisor, and less where the norm is above `clipNorm`. */
export function scaleOf(norm: Tensor, divisor: number, clipNorm: number | undefined): Tensor {
  if (clipNorm === undefined) return tensor(1 / divisor, { backend: norm.backend });
  const clip = tensor(clipNorm, { backend: norm.backend }).div(norm.add(1e-6)).minimum(1);
  return clip.mul(1 / divisor);
}

/** @throws TrainerError when no parameter has a gradient */
export function requireGradients(areThere: boolean): void {
  if (areThere) return;
  throw new TrainerError({
    where: 'train',
    what: 'the loss gave no trainable parameter a gradient',
    hint: 'Check that the loss uses the model that is trained, and which parameters are trainable.',
  });
}
