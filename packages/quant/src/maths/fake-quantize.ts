import { noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { type IntegerGroups, type PackedActivation, parseIntegerGroups } from '@frugal/tensor-core/formats';

/** A matrix as its format will hold it, f32 [rows, columns] → the same; gradients go straight through. */
export type FakeQuantizer = (weight: Tensor) => Tensor;

/** Null for formats that no fake quantizer stands for. */
export function fakeQuantizerOf(format: string): FakeQuantizer | null {
  if (format === 'int8-channel') return (weight) => straightThrough(weight, channels);
  const groups = parseIntegerGroups(format);
  if (!groups || groups.ordered) return null;
  return (weight) => straightThrough(weight, (values) => integerGroups(values, groups));
}

/** Activations [N, C] as a packed layer will round them: one scale per token, or per 32 columns of a token. */
export function fakeActivation(x: Tensor, activation: PackedActivation): Tensor {
  if (activation === 'none') return x;
  return straightThrough(x, (values) => {
    const columns = values.shape[values.rank - 1];
    const width = activation === 'int8-block32' && columns % 32 === 0 ? 32 : columns;
    return symmetric(values.cast('f32').reshape(-1, width), 127)
      .reshape(...values.shape)
      .cast(values.dtype);
  });
}

/** The straight-through estimator (Bengio et al. 2013, arXiv:1308.3432): the rounded value, with the gradient of the exact one. */
function straightThrough(exact: Tensor, round: (values: Tensor) => Tensor): Tensor {
  const difference = scope(() => noGrad(() => round(exact.detach()).sub(exact.detach())));
  return exact.add(difference);
}

const channels = (values: Tensor): Tensor => symmetric(values, 127);

/** Codes -most … most times a scale per row; a row of zeros stays. */
function symmetric(rows: Tensor, most: number): Tensor {
  const scale = rows.abs().max(-1, true).div(most).maximum(1e-30);
  return nearest(rows.div(scale)).maximum(-most).minimum(most).mul(scale);
}

/** See `integerGroups` of tensor-core: the same scales and zero points, rounded as they are stored. */
function integerGroups(values: Tensor, { bits, group, zeroPoints, scale: dtype }: IntegerGroups): Tensor {
  const rows = values.reshape(-1, group);
  const levels = 2 ** bits - 1;
  const stored = (exact: Tensor) => exact.cast(dtype).cast('f32').maximum(1e-30);
  if (!zeroPoints) {
    const scale = stored(
      rows
        .abs()
        .max(-1, true)
        .div(levels / 2),
    );
    const middle = 2 ** (bits - 1);
    return nearest(rows.div(scale))
      .maximum(-middle)
      .minimum(levels - middle)
      .mul(scale)
      .reshape(...values.shape);
  }
  const low = rows.neg().max(-1, true).maximum(0).neg();
  const scale = stored(rows.max(-1, true).maximum(0).sub(low).div(levels));
  const zero = nearest(low.neg().div(scale)).maximum(0).minimum(levels);
  const codes = nearest(rows.div(scale)).add(zero).maximum(0).minimum(levels);
  return codes
    .sub(zero)
    .mul(scale)
    .reshape(...values.shape);
}

/** Beside this f32 has no room for fractions: adding it rounds, halves to even. */
const ROUNDER = 1.5 * 2 ** 23;

/**
 * Whole numbers, halves to even as in the formats. The largest weight of a symmetric group always is next to a half: with
 * scales in f32 it may fall to the other side than in a format, whose division is of f64.
 */
function nearest(values: Tensor): Tensor {
  return values.add(ROUNDER).sub(ROUNDER);
}
