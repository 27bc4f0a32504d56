import { ArgumentError, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { MixtureOfExperts } from './mixture.js';

/** Token sequences of one kind of text. */
export interface RoutedDomain {
  readonly name: string;
  readonly sequences: readonly ArrayLike<number>[];
}

/** Where one layer sends the tokens of some texts. */
export interface LayerRouting {
  /** `blocks.3.mlp`. */
  readonly path: string;
  readonly experts: number;
  readonly chosen: number;
  /** Share of all choices that each expert gets, domains counting alike, [E]; they sum to 1. */
  readonly load: readonly number[];
  /** The same of each domain, in the order given. */
  readonly domains: readonly {
    readonly name: string;
    readonly tokens: number;
    readonly load: readonly number[];
  }[];
  /** Entropy of the load over its maximum log E: 1 when all experts are used alike, 0 when one does all. */
  readonly loadEntropy: number;
  /** Mean entropy of a token's scores, as shares, over log E: 1 when the router cannot decide, 0 when it is certain. */
  readonly gateEntropy: number;
  /**
   * What the choice of an expert tells about the domain: their mutual information over log D, with domains counting alike.
   * 0: all domains use the same experts; 1: no two domains share one. 0 with a single domain.
   */
  readonly specialization: number;
}

interface Sums {
  readonly load: Float64Array;
  entropy: number;
  tokens: number;
}

/**
 * Runs texts through a model and counts, layer by layer, who was chosen.
 * @throws ArgumentError when the model has no experts
 */
export async function inspectRouting(
  model: CausalLM,
  domains: readonly RoutedDomain[],
  {
    onProgress,
    signal,
  }: {
    readonly onProgress?: (event: { readonly done: number; readonly total: number }) => void;
    readonly signal?: AbortSignal;
  } = {},
): Promise<LayerRouting[]> {
  const layers = mixturesOf(model);
  const sums = domains.map(() => layers.map(({ router }) => emptySums(router.experts)));
  const total = domains.reduce((sum, { sequences }) => sum + sequences.length, 0);
  let done = 0;
  for (const [d, { sequences }] of domains.entries())
    for (const sequence of sequences) {
      signal?.throwIfAborted();
      await addSequence(model, layers, sequence, sums[d]);
      onProgress?.({ done: ++done, total });
    }
  return layers.map((layer, l) =>
    summary(
      layer,
      domains,
      sums.map((ofDomain) => ofDomain[l]),
    ),
  );
}

/** Layers with experts, in order. @throws ArgumentError when there are none */
export function mixturesOf(model: CausalLM): MixtureOfExperts[] {
  const layers = [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof MixtureOfExperts && path.startsWith('blocks.') ? [module] : [],
  );
  if (layers.length > 0) return layers;
  throw new ArgumentError({
    where: 'experts',
    what: 'the model has none: all of its layers are dense',
    hint: 'frugal moe upcycle makes some.',
  });
}

async function addSequence(
  model: CausalLM,
  layers: readonly MixtureOfExperts[],
  sequence: ArrayLike<number>,
  sums: readonly Sums[],
): Promise<void> {
  const collect = new Set(layers.flatMap(({ path }) => [`${path}.load`, `${path}.scores`]));
  const { vocabularySize } = model;
  const backend = model.parameters()[0]?.value.backend;
  const results = scope(() =>
    noGrad(() => {
      const batch = stepBatch([sequence], { vocabularySize, logits: 'last', collect, backend });
      const { collected } = model.forward(batch);
      return layers.flatMap(({ path }) => [
        (collected.get(`${path}.load`) as Tensor).copy(),
        meanEntropy(collected.get(`${path}.scores`) as Tensor),
      ]);
    }),
  );
  const values = await Promise.all(results.map((each) => each.toFloat32()));
  for (const each of results) each.dispose();
  for (const [l, own] of sums.entries()) {
    for (const [e, count] of values[2 * l].entries()) own.load[e] += count;
    own.entropy += values[2 * l + 1][0] * sequence.length;
    own.tokens += sequence.length;
  }
}

/** Of the scores [N, E] as shares, in nats: f32 []. */
function meanEntropy(scores: Tensor): Tensor {
  const shares = scores.div(scores.sum(1, true).add(1e-20));
  return shares.mul(shares.add(1e-20).log()).sum(1).mean().neg();
}

function summary(
  { path, router }: MixtureOfExperts,
  domains: readonly RoutedDomain[],
  sums: readonly Sums[],
): LayerRouting {
  const E = router.experts;
  const shares = sums.map(({ load }) => normalized([...load]));
  const load = normalized(Array.from({ length: E }, (_, e) => mean(shares.map((share) => share[e]))));
  const tokens = sums.reduce((sum, own) => sum + own.tokens, 0);
  const entropyOfAll = sums.reduce((sum, own) => sum + own.entropy, 0) / tokens;
  const information = entropy(load) - mean(shares.map(entropy));
  return {
    path,
    experts: E,
    chosen: router.options.chosen,
    load,
    domains: domains.map(({ name }, d) => ({ name, tokens: sums[d].tokens, load: shares[d] })),
    loadEntropy: overMaximum(entropy(load), E),
    gateEntropy: overMaximum(entropyOfAll, E),
    specialization: overMaximum(information, domains.length),
  };
}

function emptySums(experts: number): Sums {
  return { load: new Float64Array(experts), entropy: 0, tokens: 0 };
}

function normalized(values: readonly number[]): number[] {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / total);
}

/** In nats. */
function entropy(shares: readonly number[]): number {
  return -shares.reduce((sum, share) => sum + (share > 0 ? share * Math.log(share) : 0), 0);
}

function overMaximum(value: number, outcomes: number): number {
  return outcomes < 2 ? 0 : Math.min(1, Math.max(0, value / Math.log(outcomes)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
