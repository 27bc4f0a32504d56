import {
  type Backend,
  dispatch,
  noGrad,
  Random,
  referenceBackend,
  scope,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { expectNoViolations, needsStub, openBackend, stubControl } from './ascend.js';

needsStub();
expectNoViolations();

const N = 48;
const whole = { scale: 0.25, causal: true } as const;
const near = { ...whole, window: 3 };

function inputs(backend: Backend): Tensor[] {
  return [4, 2, 2].map((H, seed) => new Random(seed).normal([N, H, 16], { backend }));
}

async function attend(
  tensors: readonly Tensor[],
  starts: Tensor,
  attributes: typeof whole,
): Promise<Float32Array> {
  const output = scope(() => dispatch('attention', [...tensors, starts], attributes)[0]);
  const numbers = await output.toFloat32();
  output.dispose();
  return numbers;
}

function expectClose(actual: Float32Array, expected: Float32Array): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, number] of expected.entries()) expect(Math.abs(actual[i] - number)).toBeLessThan(1e-4);
}

it('makes a mask once for the sequences of a batch, and again when they change', async () => {
  const [backend, host] = [openBackend(), referenceBackend()];
  const made = () => stubControl().calls('aclnnLogicalOr');
  const before = { used: backend.memory.used, made: made() };
  const bounds = [Int32Array.of(0, 9, N), Int32Array.of(0, 30, N)];
  const [here, there] = [inputs(backend), inputs(host)];
  const [starts, expected] = [backend, host].map((on) => tensor(bounds[0], { backend: on }));
  for (const [i, attributes] of [whole, whole, near, whole, near].entries()) {
    expectClose(await attend(here, starts, attributes), await attend(there, expected, attributes));
    expect(made() - before.made).toBe(i < 2 ? 1 : 2);
  }
  // In place: the same memory, other sequences.
  for (const [tensors, on] of [
    [starts, backend],
    [expected, host],
  ] as const) {
    const next = tensor(bounds[1], { backend: on });
    noGrad(() => tensors.assign(next));
    next.dispose();
  }
  expectClose(await attend(here, starts, whole), await attend(there, expected, whole));
  expect(made() - before.made).toBe(3);
  // Bounds at other addresses, and at the same one once more.
  for (const numbers of bounds) {
    const [own, other] = [backend, host].map((on) => tensor(numbers, { backend: on }));
    expectClose(await attend(here, own, whole), await attend(there, other, whole));
    for (const one of [own, other]) one.dispose();
  }
  for (const one of [...here, ...there, starts, expected]) one.dispose();
  expect(backend.memory.used).toBe(before.used);
});

it('gives a mask up when memory is short', async () => {
  const backend = openBackend();
  const { limitMemory } = stubControl();
  const tensors = inputs(backend);
  const starts = tensor(Int32Array.of(0, N), { backend });
  const first = await attend(tensors, starts, whole);
  const { used } = backend.memory;
  limitMemory(used); // not a byte more than what is in use, the mask included
  const taken = tensor(new Uint8Array(2000), { backend, dtype: 'u8' }); // smaller than the mask, and of no size that is kept
  expect(backend.memory.used).toBeLessThanOrEqual(used);
  limitMemory(0);
  expect(await attend(tensors, starts, whole)).toEqual(first);
  for (const one of [...tensors, starts, taken]) one.dispose();
});
