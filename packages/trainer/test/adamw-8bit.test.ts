import { expectNoLeaks, Random, tensor } from '@frugal/tensor-core';
import { Parameter } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { AdamW, AdamW8bit, dynamicMap, type NamedParameter, type Optimizer, train } from '../src/index.js';
import { readFixture, readNumbers } from './fixtures.js';
import { collect, losses, temporaryFolder, tinyRun, weightsOf } from './support.js';
import { TinyModel } from './tiny.js';

interface Recorded {
  readonly steps: number;
  readonly recorded: readonly number[];
  readonly block: number;
  readonly options: { readonly lr: number } & Record<'beta1' | 'beta2' | 'eps' | 'weight_decay', number>;
}

const fixture = readFixture<Recorded>('adamw8bit.json');
const numbers = await readNumbers('adamw8bit.safetensors');
const valuesOf = (name: string) => Float32Array.from(numbers.get(name)!.values);

/** Largest difference, relative to the largest value. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const differences = Array.from(actual, (value, i) => Math.abs(value - expected[i]));
  return Math.max(...differences) / Math.max(...Array.from(expected, Math.abs));
}

function update(optimizer: Optimizer, named: NamedParameter, gradient: Float32Array, step: number) {
  const { parameter, path } = named;
  parameter.value.grad = tensor(gradient, { shape: parameter.shape });
  const [scale, finite] = [tensor(1), tensor(1)];
  optimizer.step([{ path, parameter }], { learningRate: fixture.options.lr, step, scale, finite });
  parameter.clearGradient();
  for (const one of [scale, finite]) one.dispose();
}

describe('dynamicMap', () => {
  it('is that of bitsandbytes', () => {
    for (const [name, signed] of [
      ['map.signed', true],
      ['map.unsigned', false],
    ] as const) {
      const [ours, theirs] = [dynamicMap({ signed }), valuesOf(name)];
      expect(ours).toHaveLength(256);
      // Theirs is computed in f32: a unit in the last place apart.
      for (const [i, value] of ours.entries())
        expect(Math.abs(value - theirs[i])).toBeLessThanOrEqual(2e-7 * Math.abs(value));
    }
  });
});

describe('AdamW with 8-bit moments', () => {
  it('follows the formulas of bitsandbytes', async () => {
    const { beta1, beta2, eps: epsilon, weight_decay: weightDecay } = fixture.options;
    const optimizer = new AdamW8bit({ beta1, beta2, epsilon, weightDecay, minimumSize: 1 });
    const { shape } = numbers.get('initial')!;
    const named = { path: 'w', parameter: new Parameter(tensor(valuesOf('initial'), { shape })) };
    const size = named.parameter.value.size;
    for (let step = 1; step <= fixture.steps; step++) {
      update(optimizer, named, valuesOf('gradients').slice((step - 1) * size, step * size), step);
      const at = fixture.recorded.indexOf(step);
      if (at < 0) continue;
      const expected = valuesOf('parameter').subarray(at * size, (at + 1) * size);
      expect(distance(await named.parameter.value.toFloat32(), expected)).toBeLessThan(1e-6);
    }
    const state = optimizer.state();
    for (const moment of ['first', 'second']) {
      expect(await state.get(`w:${moment}Codes`)!.toFloat32()).toEqual(valuesOf(`codes.${moment}`));
      expect(
        distance(await state.get(`w:${moment}Scales`)!.toFloat32(), valuesOf(`scales.${moment}`)),
      ).toBeLessThan(1e-6);
    }
  });

  it('keeps moments of large parameters in about 2 bytes, those of small ones in f32', () => {
    const optimizer = new AdamW8bit();
    const random = new Random(1);
    for (const [path, count] of [
      ['large', 5000],
      ['small', 50],
    ] as const) {
      const named = { path, parameter: new Parameter(random.normal([count])) };
      update(optimizer, named, new Float32Array(count).fill(0.1), 1);
    }
    const bytes = (path: string) =>
      [...optimizer.state()].flatMap(([name, { storage }]) =>
        name.startsWith(`${path}:`) ? [storage.byteLength] : [],
      );
    const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
    expect(sum(bytes('large')) / 5000).toBeLessThan(2.1);
    expect(bytes('small')).toEqual([200, 200]);
  });

  it('does not divide by a second moment that was rounded away', async () => {
    // One gradient a million times as large as the others: relative to it the others are nothing.
    const optimizer = new AdamW8bit({ minimumSize: 1, weightDecay: 0 });
    const named = { path: 'w', parameter: new Parameter(tensor(new Float32Array(256))) };
    const gradient = new Float32Array(256).fill(1e-6);
    gradient[0] = 1;
    update(optimizer, named, gradient, 1);
    const before = await named.parameter.value.toFloat32();
    update(optimizer, named, gradient, 2);
    const after = await named.parameter.value.toFloat32();
    const moved = after.map((value, i) => Math.abs(value - before[i]));
    expect(Math.max(...moved)).toBeLessThan(1.1 * fixture.options.lr);
  });

  it('trains like AdamW', async () => {
    const run = (optimizer: Optimizer) =>
      losses(tinyRun({ optimizer, model: new TinyModel({ width: 32 }), steps: 60 }));
    const [full, eight] = [await run(new AdamW()), await run(new AdamW8bit({ minimumSize: 1 }))];
    const last = (values: number[]) => values.slice(-20).reduce((a, b) => a + b) / 20;
    expect(last(full)).toBeLessThan(0.6 * full[0]);
    expect(Math.abs(last(eight) / last(full) - 1)).toBeLessThan(0.03);
    expect(eight).not.toEqual(full);
  });

  it('resumes with the same bits', async () => {
    const checkpoint = { directory: temporaryFolder(), resume: true };
    const options = (steps: number) =>
      tinyRun({ steps, model: new TinyModel({ width: 16 }), optimizer: new AdamW8bit({ minimumSize: 100 }) });
    const whole = options(12);
    const expected = await losses(whole);
    await losses({ ...options(5), checkpoint });
    const rest = options(12);
    const events = await collect(train({ ...rest, checkpoint }));
    expect(events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))).toEqual(expected.slice(5));
    expect(await weightsOf(rest.model)).toEqual(await weightsOf(whole.model));
  });

  it('frees its state', async () => {
    await expectNoLeaks(() => {
      const optimizer = new AdamW8bit({ minimumSize: 1 });
      const named = { path: 'w', parameter: new Parameter(tensor(new Float32Array(300))) };
      update(optimizer, named, new Float32Array(300).fill(1), 1);
      optimizer.dispose();
      named.parameter.value.dispose();
    });
  });
});
