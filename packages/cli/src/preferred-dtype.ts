import type { Backend, FloatDType } from '@frugal/tensor-core';

/** What products are best made in on all of these: f32 where they differ, and on processors. */
export function preferredDType(backends: Iterable<Backend>): FloatDType {
  const [first = 'f32', ...others] = new Set(
    [...backends].map(({ capabilities }) => capabilities.preferred ?? 'f32'),
  );
  return others.length === 0 ? first : 'f32';
}
