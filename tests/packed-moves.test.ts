import { AdaptedLinear } from '@frugal/lora';
import {
  type Backend,
  currentBackend,
  expectNoLeaks,
  groupedPackedMatmul,
  noGrad,
  PackedTensor,
  Random,
  referenceBackend,
  scope,
  setBackend,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { toleranceOf } from '@frugal/tensor-core/conformance';
import {
  type PartArray,
  packedFormat,
  packedFormatNames,
  readAsIntegerGroups,
  readOnlyFormatNames,
} from '@frugal/tensor-core/formats';
import { PackedLinear } from '@frugal/tensor-core/nn';
import { afterAll, describe, expect, it } from 'vitest';
import * as ascend from '../packages/backend-ascend/test/ascend.js';
import * as cuda from '../packages/backend-cuda/test/tensorflow.js';
import { useNativeBackend } from './support/native.js';

/** Rows that are no multiple of a kernel's tile; columns that every format can hold. */
const [ROWS, COLUMNS] = [37, 256];
const SHAPE = [ROWS, COLUMNS] as const;
const EXPERTS = 3;

useNativeBackend();
const host = currentBackend();
afterAll(() => setBackend(referenceBackend()));

interface Matrix {
  readonly format: string;
  readonly parts: readonly PartArray[];
}

/** A matrix of random numbers; columns that a format keeps in an order of its own lie reversed. */
async function written(format: string, seed: number): Promise<Matrix> {
  const drawn = new Random(seed).normal([...SHAPE], { backend: referenceBackend() });
  const { pack, orderPart } = packedFormat(format);
  const parts = pack(await drawn.toFloat32(), ...SHAPE);
  drawn.dispose();
  if (orderPart !== undefined) parts[orderPart].reverse();
  return { format, parts };
}

/** Random blocks of a format that nobody writes, those of moderate numbers, as the loader of GGUF files hands them on. */
async function read(format: string, seed: number): Promise<Matrix> {
  const { parts, unpack } = packedFormat(format);
  const columns = [32, 64, 128, 256].find((width) => {
    try {
      return parts(1, width).length > 0;
    } catch {
      return false;
    }
  }) as number;
  const size = parts(1, columns)[0].shape[1];
  const count = (ROWS * COLUMNS) / columns;
  const draws = new Random(seed).uniform([400 * count * size], { backend: referenceBackend() });
  const bytes = Uint8Array.from(await draws.toFloat32(), (value) => 256 * value);
  draws.dispose();
  const [blocks, numbers] = [new Uint8Array(count * size), new Float32Array(columns)];
  const range = { rows: 1, columns, rowStart: 0, rowCount: 1 };
  let kept = 0;
  for (let at = 0; kept < count; at += size) {
    if (at === bytes.length) throw new Error(`${format}: ${kept} of ${count} random blocks are of use`);
    const block = bytes.subarray(at, at + size);
    unpack([block], range, numbers);
    const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (largest > 1e-3 && largest < 100) blocks.set(block, kept++ * size);
  }
  return readAsIntegerGroups(format, blocks);
}

function isTurnable(format: string): boolean {
  try {
    packedFormat(`${format}-hadamard`);
    return true;
  } catch {
    return false;
  }
}

/** Every format of the registry, in which a weight can be packed or read, and turned by a Hadamard matrix where it can be. */
const matrices: readonly (readonly [string, (seed: number) => Promise<Matrix>])[] = [
  ...[
    ...packedFormatNames(),
    ...packedFormatNames()
      .filter(isTurnable)
      .map((name) => `${name}-hadamard`),
  ].map((name) => [name, (seed: number) => written(name, seed)] as const),
  ...readOnlyFormatNames().map((name) => [name, (seed: number) => read(name, seed)] as const),
];

/** Numbers in -1 … 1, the same on every backend; a leaf that collects its gradient. */
function leaf(seed: number, shape: readonly number[], backend: Backend): Tensor {
  const length = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length }, (_, i) => Math.sin(12.9898 * (i + 1) + seed) ** 3);
  return tensor(values, { shape, backend }).setRequiresGrad(true);
}

type Numbers = Readonly<Record<string, Float32Array>>;

/** All that is made of packed weights: products and their gradients, rows, experts, and an adapter over one. */
async function uses(weights: readonly PackedTensor[]): Promise<Numbers> {
  const [weight] = weights;
  const { backend } = weight;
  const results: Record<string, Float32Array> = {};
  const compute = async (name: string, leaves: readonly Tensor[], forward: () => Tensor) => {
    const product = scope(() => {
      const made = forward();
      made.backward(noGrad(() => leaf(5, made.shape, backend).detach()));
      return made.detach();
    });
    results[name] = await product.toFloat32();
    product.dispose();
    for (const [i, each] of leaves.entries())
      results[`${name}, gradient ${i}`] = (await each.grad?.toFloat32()) ?? new Float32Array();
    for (const each of leaves) for (const held of [each.grad, each]) held?.dispose();
  };
  const x = () => leaf(1, [5, COLUMNS], backend);
  const one = x();
  await compute('product', [one], () => weight.matmul(one));
  const rounded = x();
  await compute('product of rounded rows', [rounded], () =>
    weight.matmul(rounded, weight.recommendedActivation),
  );
  const routed = x();
  await compute('experts', [routed], () =>
    groupedPackedMatmul(routed, weights, tensor(Int32Array.of(0, 2, 2, 5), { backend })),
  );
  const [adapted, down, up] = [x(), leaf(2, [4, COLUMNS], backend), leaf(3, [ROWS, 4], backend)];
  const layer = new AdaptedLinear(new PackedLinear(weight), { down, up, scale: 0.5 });
  await compute('adapter', [adapted, down, up], () => layer.forward(adapted));
  for (const [name, rows] of [
    ['rows', () => weight.unpack(3, 9)],
    ['gathered rows', () => weight.gather(tensor(Int32Array.of(ROWS - 1, 0, 7), { backend }))],
  ] as const) {
    const found = scope(() => noGrad(rows));
    results[name] = await found.toFloat32();
    found.dispose();
  }
  return results;
}

const { relative, absolute } = toleranceOf('f32', 'accumulated', 2);

function expectClose(actual: Numbers, expected: Numbers): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, wanted] of Object.entries(expected)) {
    const got = actual[name];
    expect(got.length, name).toBe(wanted.length);
    expect(wanted.length, name).toBeGreaterThan(0);
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest, name).toBeGreaterThan(0);
    const wrong = wanted.findIndex(
      (value, i) => !(Math.abs(got[i] - value) <= absolute * largest + relative * Math.abs(value)),
    );
    expect(wrong < 0 ? 'close' : `${name}: got ${got[wrong]} for ${wanted[wrong]} at ${wrong}`).toBe('close');
  }
}

async function bytesOf(weights: readonly PackedTensor[]): Promise<string[]> {
  const bytes: string[] = [];
  for (const weight of weights) {
    const standard = weight.standard();
    for (const part of standard.parts) bytes.push((await part.bytes()).join());
    standard.dispose();
  }
  return bytes;
}

const devices = [
  { ...cuda, name: 'cuda', needs: cuda.needsTensorFlow, held: () => cuda.openBackend().handles },
  { ...ascend, name: 'ascend', needs: ascend.needsStub, held: () => ascend.openBackend().memory.used },
];

describe.each(devices)('packed weights move to $name and back', ({ name, needs, openBackend, held }) => {
  needs();
  if (name === 'ascend') ascend.expectNoViolations();

  it.each(matrices)('%s', async (_, make) => {
    const device = openBackend();
    const made: Matrix[] = [];
    for (let seed = 0; seed < EXPERTS; seed++) made.push(await make(seed));
    const round = async () => {
      const weights = made.map(({ format, parts }) =>
        PackedTensor.fromParts(format, SHAPE, parts, host).prepare(),
      );
      const [before, expected] = [await bytesOf(weights), await uses(weights)];
      for (const weight of weights) await weight.moveTo(device);
      expect(weights.map(({ backend }) => backend)).toEqual(weights.map(() => device));
      expectClose(await uses(weights), expected);
      for (const weight of weights) await weight.moveTo(host);
      expect(await bytesOf(weights)).toEqual(before);
      // Bit for bit: also laid out for the kernels of the host again.
      expect(await uses(weights)).toEqual(expected);
      for (const weight of weights) weight.dispose();
    };
    await round(); // Hadamard matrices and constants of kernels stay
    await device.synchronize();
    const before = held();
    await expectNoLeaks(round);
    await device.synchronize();
    expect(held()).toBe(before);
  });
});
