import { readFileSync } from 'node:fs';
import {
  dispatch,
  mutatedInputs,
  noGrad,
  type OpDefinition,
  type OpName,
  type OpSpecs,
  operations,
  referenceBackend,
  type Tensor,
  withBackend,
} from '@frugal/tensor-core';
import { withoutFusedKernels } from '@frugal/tensor-core/conformance';
import { describe, expect, it } from 'vitest';
import { readFixture } from './safetensors.js';

interface FixtureCase {
  readonly name: string;
  readonly op: OpName;
  readonly attributes: OpSpecs[OpName];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly gradients: readonly string[];
}

const fixtures = new URL('../../../oracles/fixtures/', import.meta.url);
const names = ['ops', 'cache'];
const cases = names.flatMap((name): FixtureCase[] => {
  return JSON.parse(readFileSync(new URL(`${name}.json`, fixtures), 'utf8')).cases;
});
const tensors = new Map(names.flatMap((name) => [...readFixture(new URL(`${name}.safetensors`, fixtures))]));

/** Largest difference over the largest magnitude. */
async function distance(actual: Tensor, expected: Tensor): Promise<number> {
  expect(actual.shape).toEqual(expected.shape);
  const [a, b] = [await actual.cast('f32').toFloat32(), await expected.cast('f32').toFloat32()];
  let [difference, largest] = [0, 1e-30];
  b.forEach((value, i) => {
    difference = Math.max(
      difference,
      Number.isFinite(a[i]) ? Math.abs(a[i] - value) : Number.POSITIVE_INFINITY,
    );
    largest = Math.max(largest, Math.abs(value));
  });
  return difference / largest;
}

const backends = [
  { name: 'kernels', backend: referenceBackend() },
  { name: 'decompositions', backend: withoutFusedKernels(referenceBackend()) },
];

describe.each(backends)('PyTorch and our $name agree', ({ backend }) => {
  it.each(cases)('$name', async ({ name, op, attributes, inputs, outputs, gradients }) => {
    const get = (part: string) => tensors.get(`${name}/${part}`) as Tensor;
    const leaves: Tensor[] = [];
    for (const input of inputs) {
      // A copy: some ops change their inputs.
      const copied = await get(`in.${input}`).copy().to(backend);
      leaves.push(copied.setRequiresGrad(gradients.includes(input)));
    }
    const mutates = mutatedInputs(operations[op] as OpDefinition<typeof op>, leaves, attributes);
    const results = withBackend(backend, () =>
      mutates.length > 0
        ? noGrad(() => [...dispatch(op, leaves, attributes), ...mutates.map((i) => leaves[i])])
        : dispatch(op, leaves, attributes),
    );
    for (const [i, output] of outputs.entries()) {
      expect(await distance(results[i], get(`out.${output}`)), output).toBeLessThan(1e-5);
    }
    if (gradients.length === 0) return;
    results[0].backward(await get('upstream').to(backend));
    for (const input of gradients) {
      const { grad } = leaves[inputs.indexOf(input)];
      expect(await distance(grad as Tensor, get(`gradient.${input}`)), `gradient of ${input}`).toBeLessThan(
        1e-5,
      );
    }
  });
});
