import { gradcheck, noGrad, Random, type Tensor, tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import {
  combineRows,
  dispatchRows,
  Experts,
  type RoutingOptions,
  route,
  StackedLinear,
} from '../src/index.js';

const [N, E, C, F] = [40, 12, 6, 5];
const logitsOf = (seed: number, scale = 2) => noGrad(() => new Random(seed).normal([N, E]).mul(scale));

/** Options of all styles, drawn by a seed. */
function drawOptions(seed: number): RoutingOptions {
  const pick = <T>(items: readonly T[], salt: number) => items[(seed * 7 + salt * 13) % items.length];
  const groups = pick(
    [null, { count: 4, chosen: 2, score: 'bestTwo' }, { count: 3, chosen: 2, score: 'best' }] as const,
    1,
  );
  return {
    chosen: pick([1, 2, 3, 5], 2),
    gate: pick(['softmax', 'sigmoid'] as const, 3),
    normalize: pick([true, false], 4),
    scale: pick([1, 2.5], 5),
    groups,
  };
}

async function read({ experts, weights, scores }: ReturnType<typeof route>) {
  const [chosen, weight, score] = [
    await experts.toInt32(),
    await weights.toFloat32(),
    await scores.toFloat32(),
  ];
  const k = experts.shape[1];
  return Array.from({ length: N }, (_, n) => ({
    chosen: [...chosen.slice(n * k, (n + 1) * k)],
    weights: [...weight.slice(n * k, (n + 1) * k)],
    scores: [...score.slice(n * E, (n + 1) * E)],
  }));
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** The rule in plain loops: the best groups by score plus bias, then the best experts in them, smaller index first. */
function expectedChoice(
  scores: readonly number[],
  { chosen, groups }: RoutingOptions,
  bias: readonly number[],
) {
  const biased = scores.map((score, e) => Math.fround(score + bias[e]));
  const best = (of: readonly number[], values: (i: number) => number) =>
    [...of].sort((a, b) => values(b) - values(a) || a - b);
  let open = biased.map((_, e) => e);
  if (groups) {
    const size = E / groups.count;
    const quality = Array.from({ length: groups.count }, (_, g) => {
      const own = biased.slice(g * size, (g + 1) * size).sort((a, b) => b - a);
      return groups.score === 'best' ? own[0] : Math.fround(own[0] + own[1]);
    });
    const indices = quality.map((_, g) => g);
    const chosenGroups = new Set(best(indices, (g) => quality[g]).slice(0, groups.chosen));
    open = open.filter((e) => chosenGroups.has(Math.floor(e / size)));
  }
  return best(open, (e) => biased[e]).slice(0, chosen);
}

describe('route', () => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))('keeps its rules, options %i', async (seed) => {
    const options = drawOptions(seed);
    const bias = await noGrad(() => new Random(seed + 50).normal([E]).mul(0.1)).toFloat32();
    const routing = noGrad(() => route(logitsOf(seed), options, tensor(bias)));
    for (const { chosen, weights, scores } of await read(routing)) {
      expect(chosen).toEqual(expectedChoice(scores, options, [...bias]));
      const raw = chosen.map((e) => scores[e]); // without the bias
      const total = options.normalize ? sum(raw) : 1;
      const wanted = raw.map((score) => (score / total) * (options.scale ?? 1));
      for (const [i, weight] of weights.entries()) expect(weight).toBeCloseTo(wanted[i], 5);
      if (options.normalize) expect(sum(weights)).toBeCloseTo(options.scale ?? 1, 5);
    }
  });

  it('sends every token to k experts, and no choice is lost', async () => {
    const routing = route(logitsOf(3), { chosen: 4, gate: 'softmax', normalize: true });
    const { load, offsets, tokens } = dispatchRows(routing, E);
    expect(sum([...(await load.toFloat32())])).toBe(4 * N);
    expect([...(await offsets.toInt32())].at(-1)).toBe(4 * N);
    const counts = new Array(N).fill(0);
    for (const token of await tokens.toInt32()) counts[token]++;
    expect(new Set(counts)).toEqual(new Set([4]));
  });

  it('gives the same for permuted experts, permuted', async () => {
    const order = Int32Array.from({ length: E }, (_, e) => (e * 5 + 3) % E); // 5 and 12 share no divisor
    const logits = logitsOf(8);
    const options: RoutingOptions = { chosen: 3, gate: 'sigmoid', normalize: true };
    const plain = await read(route(logits, options));
    const permuted = await read(route(logits.transpose().gatherRows(tensor(order)).transpose(), options));
    for (const [n, { chosen, weights }] of permuted.entries()) {
      expect(chosen.map((e) => order[e])).toEqual(plain[n].chosen);
      expect(weights).toEqual(plain[n].weights);
    }
  });
});

describe('gradients', () => {
  it.each<[string, RoutingOptions]>([
    ['softmax, normalised', { chosen: 2, gate: 'softmax', normalize: true }],
    ['softmax, scaled', { chosen: 3, gate: 'softmax', normalize: false, scale: 1.5 }],
    ['sigmoid, normalised', { chosen: 2, gate: 'sigmoid', normalize: true }],
  ])('of logits, inputs and experts agree with finite differences: %s', async (_, options) => {
    const [rows, experts] = [5, 4];
    const draw = new Random(12);
    // Scores far apart: the choice must not change within the step.
    const spread = Float32Array.from(
      { length: rows * experts },
      (_, i) => ((i * 7 + (i >> 2)) % experts) - 1.5,
    );
    const inputs = [
      tensor(spread, { shape: [rows, experts] }),
      draw.normal([rows, C]),
      ...[
        [F, C],
        [F, C],
        [C, F],
      ].map((shape) => noGrad(() => draw.normal([experts, ...shape]).mul(0.5))),
    ].map((value) => value.setRequiresGrad(true));
    await gradcheck(
      (logits: Tensor, x: Tensor, gate: Tensor, up: Tensor, down: Tensor) => {
        const routing = route(logits, options);
        const dispatch = dispatchRows(routing, experts);
        const mlp = new Experts(new StackedLinear(gate), new StackedLinear(up), new StackedLinear(down));
        const inner = mlp.forward(x.gatherRows(dispatch.tokens), dispatch.offsets);
        return combineRows(inner, dispatch, routing.weights);
      },
      inputs,
      { name: 'mixture', tolerance: 3e-3 },
    );
  });
});
