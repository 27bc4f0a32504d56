import type { FloatDType } from '@frugal/tensor-core';
import { Linear, type LinearLike, type Module, Parameter } from '@frugal/tensor-core/nn';

/** The dtype of a dense weight; null when it is packed. The weight of an expert lies in the stack above it. */
export function denseDType(model: Module, path: string, base: LinearLike): FloatDType | null {
  if (base instanceof Linear) return base.weight.value.dtype as FloatDType;
  const stack = /^(.*)\.sites\.\d+$/.exec(path)?.[1];
  const weight = stack === undefined ? null : (model.module(stack) as { weight?: unknown }).weight;
  const isOwn = weight instanceof Parameter && [...base.members()].length === 0 && !('weight' in base);
  return isOwn ? (weight.value.dtype as FloatDType) : null;
}
