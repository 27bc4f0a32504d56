import { loadCpuBackend } from '@frugal/backend-cpu';
import {
  expectNoLeaks,
  noGrad,
  Random,
  scope,
  type Tensor,
  tensor,
  withBackend,
  zeros,
} from '@frugal/tensor-core';
import { GatedMLP, Linear, type StepContext, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import {
  Experts,
  MixtureOfExperts,
  nextSelectionBias,
  Router,
  type RoutingOptions,
  route,
  StackedLinear,
} from '../src/index.js';

const [N, C, F, E] = [13, 12, 8, 8];
const random = () => new Random(5);

function contextOf(
  sequences: number[][] = [Array.from({ length: N }, (_, i) => i)],
  collect?: string[],
): StepContext {
  const batch = stepBatch(sequences, { vocabularySize: 64, ...(collect && { collect: new Set(collect) }) });
  return { batch, shared: new Map(), collected: new Map(), losses: new Map(), checks: new Map() };
}

function mixture(
  options: RoutingOptions,
  { bias = null as Tensor | null, shared = false, balance = {} } = {},
) {
  const draw = random();
  const stack = (rows: number, columns: number) =>
    new StackedLinear(scope(() => draw.normal([E, rows, columns]).mul(0.4)));
  const linear = (inputs: number, outputs: number) => Linear.init(inputs, outputs, { random: draw });
  return new MixtureOfExperts(
    new Router(draw.normal([E, C]), options, bias),
    new Experts(stack(F, C), stack(F, C), stack(C, F)),
    shared ? new GatedMLP(linear(C, F), linear(C, F), linear(F, C)) : null,
    { path: 'blocks.0.mlp', balance },
  );
}

const input = () => new Random(9).normal([N, C]);
const plain: RoutingOptions = { chosen: 3, gate: 'softmax', normalize: true };

/** Each token through its experts, one after the other. */
async function tokenByToken(layer: MixtureOfExperts, x: Tensor): Promise<Float32Array> {
  const { experts, weights } = layer.router.forward(x);
  const chosen = await experts.toInt32();
  const weight = await weights.toFloat32();
  const k = layer.router.options.chosen;
  const rows = Array.from({ length: N }, (_, n) => {
    const row = x.slice(0, n, n + 1);
    let sum = layer.shared ? layer.shared.forward(row, contextOf()) : zeros([1, C]);
    for (let i = 0; i < k; i++) {
      const { gate, up, down } = layer.experts;
      const e = chosen[n * k + i];
      const inner = gate.site(e).forward(row).silu().mul(up.site(e).forward(row));
      sum = sum.add(
        down
          .site(e)
          .forward(inner)
          .mul(weight[n * k + i]),
      );
    }
    return sum.toFloat32();
  });
  return Float32Array.from((await Promise.all(rows)).flatMap((row) => [...row]));
}

function expectClose(actual: Float32Array, wanted: Float32Array, tolerance = 1e-5): void {
  expect(actual.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries())
    expect(Math.abs(actual[i] - value), `${i}`).toBeLessThan(tolerance);
}

describe('MixtureOfExperts', () => {
  it.each<[string, RoutingOptions]>([
    ['softmax, normalised', plain],
    ['softmax, not normalised, scaled', { chosen: 2, gate: 'softmax', normalize: false, scale: 2.5 }],
    [
      'sigmoid in groups',
      { chosen: 2, gate: 'sigmoid', normalize: true, groups: { count: 4, chosen: 2, score: 'bestTwo' } },
    ],
    ['all experts', { chosen: E, gate: 'softmax', normalize: true }],
    ['one expert', { chosen: 1, gate: 'softmax', normalize: false }],
  ])('is the weighted sum of the chosen experts: %s', async (_, options) => {
    const layer = mixture(options, { shared: true });
    const y = noGrad(() => layer.forward(input(), contextOf()));
    expectClose(await y.toFloat32(), await noGrad(() => tokenByToken(layer, input())));
  });

  it('gives the same on the native backend', async (context) => {
    const backend = await loadCpuBackend().catch(() => null);
    if (!backend) return context.skip('needs the native addon');
    const run = () => noGrad(() => mixture(plain, { shared: true }).forward(input(), contextOf()));
    expectClose(await withBackend(backend, run).toFloat32(), await run().toFloat32());
  });

  it('watched or replaced experts give what the grouped product gives', async () => {
    const layer = mixture(plain);
    const before = await noGrad(() => layer.forward(input(), contextOf())).toFloat32();
    const { gate, down } = layer.experts;
    gate.sites[2] = new Linear(noGrad(() => scope(() => gate.site(2).effectiveWeight().copy())));
    for (const [e, site] of down.sites.entries()) {
      down.sites[e] = new Linear(noGrad(() => scope(() => site.effectiveWeight().copy())));
    }
    expect(down.weight).toBe(null);
    expect([...layer.namedParameters()].map(([path]) => path)).toContain('experts.gate.sites.2.weight');
    expectClose(await noGrad(() => layer.forward(input(), contextOf())).toFloat32(), before);
  });

  it('scales the columns of one expert alone', async () => {
    const { gate } = mixture(plain).experts;
    const before = await gate.weight?.value.toFloat32();
    gate.site(3).scaleColumns(tensor(new Float32Array(C).fill(2)));
    const after = await gate.weight?.value.toFloat32();
    expect(after).toEqual(before?.map((value, i) => (Math.floor(i / (F * C)) === 3 ? 2 * value : value)));
  });

  it('the selection bias changes choices, never weights', async () => {
    const bias = tensor(Float32Array.from({ length: E }, (_, e) => (e === 6 ? 100 : 0)));
    const logits = new Random(2).normal([N, E]);
    const options: RoutingOptions = { chosen: 2, gate: 'sigmoid', normalize: false };
    const { experts, weights } = route(logits, options, bias);
    const [chosen, weight, scores] = [
      await experts.toInt32(),
      await weights.toFloat32(),
      await logits.sigmoid().toFloat32(),
    ];
    for (let n = 0; n < N; n++) {
      expect(chosen[2 * n]).toBe(6);
      expect(weight[2 * n]).toBeCloseTo(scores[n * E + 6], 6);
    }
    const load = tensor(Float32Array.from([4, 4, 0, 4, 4, 4, 20, 8]));
    expectClose(
      await nextSelectionBias(bias, load, 0.5).toFloat32(),
      Float32Array.from([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 99.5, -0.5]),
    );
  });

  it('chooses the smaller index among equal scores', async () => {
    const { experts } = route(zeros([2, E]), plain);
    expect([...(await experts.toInt32())]).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it('balancing losses reach the router, and are absent without training', async () => {
    const layer = mixture(plain, { balance: { switchLoss: 1, sequenceLoss: 1, zLoss: 1 } });
    for (const name of ['switchLoss', 'sequenceLoss', 'zLoss']) {
      const context = contextOf(
        [
          [1, 2, 3, 4],
          [5, 6, 7, 8, 9, 1, 2, 3, 4],
        ],
        ['blocks.0.mlp.load'],
      );
      scope(() => {
        layer.forward(input(), context);
        (context.losses.get(`blocks.0.mlp.${name}`) as Tensor).backward();
      });
      const gradient = await (layer.router.weight.gradient as Tensor).toFloat32();
      expect(Math.max(...gradient.map(Math.abs)), name).toBeGreaterThan(1e-6);
      layer.router.weight.clearGradient();
    }
    const context = contextOf(undefined, ['blocks.0.mlp.load']);
    noGrad(() => layer.forward(input(), context));
    expect(context.losses.size).toBe(0);
    const load = await (context.collected.get('blocks.0.mlp.load') as Tensor).toFloat32();
    expect(load.reduce((sum, value) => sum + value)).toBe(N * 3);
  });

  it('even routing gives losses of k and 1', async () => {
    // Token n takes expert n mod E with near certainty.
    const router = new Router(
      tensor(
        Float32Array.from({ length: E * E }, (_, i) => (i % (E + 1) === 0 ? 1 : 0)),
        { shape: [E, E] },
      ),
      { chosen: 1, gate: 'softmax', normalize: false },
    );
    const { sequenceLoss, switchLoss } = await import('../src/index.js');
    const routing = router.forward(
      tensor(
        Float32Array.from({ length: 2 * E * E }, (_, i) => (Math.floor(i / E) % E === i % E ? 3 : 0)),
        { shape: [2 * E, E] },
      ),
    );
    expect(await switchLoss(routing).item()).toBeCloseTo(1, 5);
    expect(await sequenceLoss(routing, tensor(Int32Array.of(0, E, 2 * E))).item()).toBeCloseTo(1, 5);
  });

  it('leaves nothing behind', async () => {
    await expectNoLeaks(async () => {
      const layer = mixture(plain, { shared: true, bias: zeros([E]) });
      const context = contextOf();
      const x = input();
      scope(() => layer.forward(x, context).sum().backward());
      for (const value of [
        x,
        context.batch.tokens,
        context.batch.positions,
        context.batch.sequenceStarts,
        context.batch.logitRows,
      ])
        value.dispose();
      layer.dispose();
    });
  });

  it.each<[string, Partial<RoutingOptions>, RegExp]>([
    ['more experts than there are', { chosen: 9 }, /experts per token.*got 9.*1 to 8/],
    [
      'groups that do not divide',
      { groups: { count: 3, chosen: 1, score: 'best' } },
      /groups do not divide.*3/,
    ],
    ['too few experts in the groups', { groups: { count: 8, chosen: 2, score: 'best' } }, /too few experts/],
    ['groups of one with two best', { groups: { count: 8, chosen: 4, score: 'bestTwo' } }, /two best/],
  ])('refuses %s', (_, change, message) => {
    expect(() => mixture({ ...plain, ...change })).toThrow(message);
  });
});
