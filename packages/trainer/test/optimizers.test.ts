import { currentBackend, expectNoLeaks, type Tensor, tensor } from '@frugal/tensor-core';
import { Parameter } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { summarizeGradients } from '../src/gradients.js';
import {
  AdamW,
  AdamW8bit,
  createOptimizer,
  Muon,
  muonWithAdamW,
  type NamedParameter,
  type Optimizer,
  ParameterGroups,
  SGD,
} from '../src/index.js';
import { orthogonalize } from '../src/optimizers/muon.js';
import { readFixture, readNumbers } from './fixtures.js';

interface RecordedRun {
  readonly name: string;
  readonly optimizer: 'AdamW' | 'SGD' | 'Muon';
  readonly options: {
    readonly lr: number;
    readonly betas?: readonly [number, number];
    readonly eps?: number;
    readonly momentum?: number;
    readonly nesterov?: boolean;
    readonly weight_decay?: number;
  };
  readonly clip: number | null;
  readonly distanceOfFloat32: number;
}

interface Recorded {
  readonly steps: number;
  readonly recorded: readonly number[];
  readonly parameters: readonly string[];
  readonly runs: readonly RecordedRun[];
}

function optimizerOf({ optimizer, options }: RecordedRun): Optimizer {
  const { betas, eps, momentum, nesterov, weight_decay: weightDecay } = options;
  if (optimizer === 'AdamW')
    return new AdamW({ beta1: betas?.[0], beta2: betas?.[1], epsilon: eps, weightDecay });
  return optimizer === 'SGD'
    ? new SGD({ momentum, nesterov, weightDecay })
    : new Muon({ momentum, weightDecay });
}

const fixture = readFixture<Recorded>('optimizers.json');
const numbers = await readNumbers('optimizers.safetensors');

function named(path: string, value: Tensor): NamedParameter {
  return { path, parameter: new Parameter(value) };
}

function initial(): NamedParameter[] {
  return fixture.parameters.map((path) => {
    const { values, shape } = numbers.get(`initial.${path}`)!;
    return named(path, tensor(Float32Array.from(values), { shape }));
  });
}

function setGradients(parameters: readonly NamedParameter[], step: number): void {
  for (const { path, parameter } of parameters) {
    const { values } = numbers.get(`gradients.${path}`)!;
    const size = parameter.value.size;
    parameter.value.grad = tensor(Float32Array.from(values.subarray(step * size, (step + 1) * size)), {
      shape: parameter.shape,
    });
  }
}

/** Largest difference, relative to the largest value. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const differences = Array.from(actual, (value, i) => Math.abs(value - expected[i]));
  return Math.max(...differences) / Math.max(...Array.from(expected, Math.abs));
}

async function stepOnce(
  optimizer: Optimizer,
  parameters: readonly NamedParameter[],
  step: number,
  run: RecordedRun,
) {
  setGradients(parameters, step - 1);
  const { norm, scale } = summarizeGradients(parameters, 1, run.clip ?? undefined, currentBackend());
  const finite = tensor(1);
  optimizer.step(parameters, { learningRate: run.options.lr, step, scale, finite });
  const value = await norm.item();
  for (const one of [norm, scale, finite]) one.dispose();
  for (const { parameter } of parameters) parameter.clearGradient();
  return value;
}

describe('optimizers follow PyTorch', () => {
  it.each(fixture.runs)('$name', async (run) => {
    const parameters = initial();
    const optimizer = optimizerOf(run);
    let worst = 0;
    for (let step = 1; step <= fixture.steps; step++) {
      const norm = await stepOnce(optimizer, parameters, step, run);
      const norms = numbers.get(`${run.name}/norm`)?.values;
      if (norms) expect(norm / norms[step - 1]).toBeCloseTo(1, 5);
      const at = fixture.recorded.indexOf(step);
      if (at < 0) continue;
      for (const { path, parameter } of parameters) {
        const { values } = numbers.get(`${run.name}/${path}`)!;
        const size = parameter.value.size;
        const expected = values.subarray(at * size, (at + 1) * size);
        worst = Math.max(worst, distance(await parameter.value.toFloat32(), expected));
      }
    }
    // The recorded run is in f64; PyTorch's own f32 run strays up to 2.3e-6 from it.
    expect(worst).toBeLessThan(1e-6);
  });
});

describe('every optimizer', () => {
  const kinds: [string, () => Optimizer][] = [
    ['AdamW', () => new AdamW()],
    ['AdamW8bit', () => new AdamW8bit({ minimumSize: 50 })],
    ['SGD', () => new SGD({ momentum: 0.9, nesterov: true })],
    ['Muon', () => new Muon()],
  ];

  it.each(kinds)('%s changes nothing in a step that is not finite', async (_, make) => {
    const parameters = initial();
    const optimizer = make();
    const update = (scale: number, finite: number, step: number) => {
      setGradients(parameters, step);
      optimizer.step(parameters, { learningRate: 0.1, step, scale: tensor(scale), finite: tensor(finite) });
    };
    const values = () =>
      Promise.all(
        [...parameters.map(({ parameter }) => parameter.value), ...optimizer.state().values()].map((t) =>
          t.toFloat32(),
        ),
      );
    update(1, 1, 1);
    const before = await values();
    update(Number.NaN, 0, 2);
    update(Number.POSITIVE_INFINITY, 0, 3);
    expect(await values()).toEqual(before);
    update(1, 1, 4);
    expect(await values()).not.toEqual(before);
  });

  it.each(kinds)('%s leaves rounded copies of the weights in agreement with them', async (_, make) => {
    const parameters = initial();
    const optimizer = make();
    for (let step = 1; step <= 2; step++) {
      for (const { parameter } of parameters) parameter.rounded('bf16');
      setGradients(parameters, step);
      optimizer.step(parameters, { learningRate: 0.1, step, scale: tensor(1), finite: tensor(1) });
    }
    for (const { parameter } of parameters) {
      const expected = await parameter.value.cast('bf16').toFloat32();
      expect(await parameter.rounded('bf16').toFloat32()).toEqual(expected);
    }
  });

  it.each(kinds)('%s goes on from its state with the same bits', async (_, make) => {
    const run = async (change: (optimizer: Optimizer) => Optimizer) => {
      const parameters = initial();
      let optimizer = make();
      for (let step = 1; step <= 6; step++) {
        setGradients(parameters, step);
        optimizer.step(parameters, { learningRate: 0.1, step, scale: tensor(1), finite: tensor(1) });
        if (step === 3) optimizer = change(optimizer);
      }
      return Promise.all(parameters.map(({ parameter }) => parameter.value.toFloat32()));
    };
    const reloaded = (optimizer: Optimizer) => {
      const next = make();
      next.load(new Map([...optimizer.state()].map(([name, slot]) => [name, slot.copy()])));
      return next;
    };
    expect(await run(reloaded)).toEqual(await run((optimizer) => optimizer));
  });

  it('refuses the state of another optimizer', () => {
    const state = new Map([['wide:second', tensor([1])]]);
    expect(() => new Muon().load(state)).toThrow(
      '[optimizer] the saved state is not of this optimizer: got wide:second; expected names that end in :momentum.',
    );
    expect(() => new ParameterGroups([{ name: 'all', optimizer: new AdamW() }]).load(state)).toThrow(
      /expected all\/…/,
    );
  });

  it('frees its state', async () => {
    await expectNoLeaks(() => {
      const parameters = initial();
      const optimizer = new AdamW();
      setGradients(parameters, 0);
      const [scale, finite] = [tensor(1), tensor(1)];
      optimizer.step(parameters, { learningRate: 0.1, step: 1, scale, finite });
      optimizer.dispose();
      for (const one of [scale, finite]) one.dispose();
      for (const { parameter } of parameters) {
        parameter.clearGradient();
        parameter.value.dispose();
      }
    });
  });
});

describe('Muon', () => {
  it('brings all singular values near 1, also of tall matrices, of stacks, and in bf16', async () => {
    const { values } = numbers.get('gradients.wide')!;
    const stack = tensor(Float32Array.from(values.subarray(0, 2 * 96)), { shape: [2, 6, 16] });
    const tall = orthogonalize(stack.transpose(), 5).transpose();
    for (const x of [orthogonalize(stack, 5), tall, orthogonalize(stack, 5, 'bf16')]) {
      const gram = await x.matmul(x.transpose()).toFloat32(); // [2, 6, 6]
      for (let i = 0; i < 72; i++) {
        const isDiagonal = (i % 36) % 7 === 0;
        if (isDiagonal) expect(gram[i]).toBeGreaterThan(0.4);
        expect(Math.abs(gram[i] - (isDiagonal ? 1 : 0))).toBeLessThan(0.6);
      }
    }
  });

  it('treats stacked matrices one by one', async () => {
    const { values } = numbers.get('gradients.wide')!;
    const both = tensor(Float32Array.from(values.subarray(0, 2 * 96)), { shape: [2, 6, 16] });
    const second = orthogonalize(both.slice(0, 1, 2).reshape(6, 16), 5);
    const stacked = (await orthogonalize(both, 5).toFloat32()).subarray(96);
    expect(distance(stacked, await second.toFloat32())).toBeLessThan(1e-6);
  });

  it('refuses vectors with the way out', () => {
    const parameters = [named('norm.weight', tensor([1, 2]))];
    parameters[0].parameter.value.grad = tensor([1, 1]);
    const update = { learningRate: 0.1, step: 1, scale: tensor(1), finite: tensor(1) };
    expect(() => new Muon().step(parameters, update)).toThrow(
      /not a matrix: got \[2\]\. Give vectors to AdamW/,
    );
  });
});

describe('parameter groups', () => {
  const parameters = () => [
    named(
      'embed.weight',
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ),
    named(
      'blocks.0.mlp.up.weight',
      tensor([
        [1, 2],
        [3, 4],
      ]),
    ),
    named('blocks.0.norm.weight', tensor([1, 1])),
  ];

  it('gives each parameter to the first group that matches, by path and kind', () => {
    const optimizer = createOptimizer(muonWithAdamW()) as ParameterGroups;
    expect(parameters().map((one) => optimizer.groupOf(one).name)).toEqual(['rest', 'matrices', 'rest']);
  });

  it('multiplies the learning rate and keeps the state apart', async () => {
    const optimizer = new ParameterGroups([
      { name: 'embedding', paths: ['embed.*'], optimizer: new SGD(), learningRate: 10 },
      { name: 'matrices', kind: 'matrix', optimizer: new SGD({ momentum: 0.5 }) },
      { name: 'vectors', kind: 'vector', optimizer: new AdamW() },
    ]);
    const all = parameters();
    for (const { parameter } of all)
      parameter.value.grad = tensor(new Float32Array(parameter.value.size).fill(1), {
        shape: parameter.shape,
      });
    optimizer.step(all, { learningRate: 0.01, step: 1, scale: tensor(1), finite: tensor(1) });
    expect((await all[0].parameter.value.toFloat32())[0]).toBeCloseTo(0.9, 6);
    expect((await all[1].parameter.value.toFloat32())[0]).toBeCloseTo(0.99, 6);
    expect([...optimizer.state().keys()]).toEqual([
      'matrices/blocks.0.mlp.up.weight:momentum',
      'vectors/blocks.0.norm.weight:first',
      'vectors/blocks.0.norm.weight:second',
    ]);
  });

  it('names a parameter that no group takes', () => {
    const optimizer = new ParameterGroups([{ name: 'matrices', kind: 'matrix', optimizer: new SGD() }]);
    expect(() => optimizer.groupOf(parameters()[2])).toThrow(
      /no group takes the parameter blocks\.0\.norm\.weight: got matrices/,
    );
  });
});
