import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@frugal/checkpoint';
import { type Tensor, tensor } from '@frugal/tensor-core';
import { Module } from '@frugal/tensor-core/nn';

/** One line of oracles/fixtures/distill.json. */
export interface LossCase {
  readonly name: string;
  readonly kind: string;
  readonly share: number;
  readonly temperature: number;
  readonly topK: number | null;
  readonly width: number;
}

const path = (name: string) => fileURLToPath(new URL(`../../../oracles/fixtures/${name}`, import.meta.url));

export const lossCases: readonly LossCase[] = JSON.parse(readFileSync(path('distill.json'), 'utf8')).cases;

const source = await openSafetensors(path('distill.safetensors'));
const numbers = new Map<string, { readonly shape: readonly number[]; readonly values: Float32Array }>();
for (const [name, { shape }] of source.entries) {
  const { buffer } = await source.read(name);
  numbers.set(name, { shape, values: new Float32Array(buffer) });
}
await source.close();

export function valuesOf(name: string): Float32Array {
  return numbers.get(name)?.values as Float32Array;
}

/** On the current backend. */
export function tensorOf(name: string): Tensor {
  return tensor(valuesOf(name)).reshape(...(numbers.get(name)?.shape ?? []));
}

/** A head whose logits are the hidden states. */
export class Same extends Module {
  constructor(readonly outFeatures: number) {
    super();
  }
  forward(hidden: Tensor): Tensor {
    return hidden;
  }
}

/** Largest difference over the largest magnitude. */
export function distance(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, largest] = [0, 1e-30];
  expected.forEach((value, i) => {
    const error = Math.abs(actual[i] - value);
    difference = Math.max(difference, Number.isFinite(error) ? error : Number.POSITIVE_INFINITY);
    largest = Math.max(largest, Math.abs(value));
  });
  return difference / largest;
}
