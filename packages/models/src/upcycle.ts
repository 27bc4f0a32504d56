import {
  expertRouter,
  expertStacks,
  type FeedForwardWeights,
  MixtureOfExperts,
  planUpcycle,
  sharedExperts,
  type UpcycleOptions,
  type UpcyclePlan,
} from '@frugal/moe';
import { ArgumentError, noGrad, Random, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, GatedMLP } from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';
import type { DecoderBlock } from './decoder.js';
import { skeleton } from './load.js';
import { familyOf } from './registry.js';
import { type LayerValues, replaceFeedForward } from './replace-feed-forward.js';

export interface UpcycleModelOptions extends UpcycleOptions {
  /** Noise on all copies but the first, as a share of the standard deviation of each matrix. Default 0. */
  readonly noise?: number;
  /**
   * Directions [copies, C] of the routers by the path of their layer (`clusterDirections` of `@frugal/moe` makes them from
   * activations); left out: random ones. Routing changes nothing as long as copies are equal.
   */
  readonly directions?: ReadonlyMap<string, Tensor>;
  readonly seed?: number;
}

/**
 * A sparse model from a dense one: every feed-forward layer is cut into pieces and copied into experts. Without noise it
 * computes the same function as the dense one, up to rounding. Its config is of a family that transformers opens. Packed
 * matrices become f32 ones; the dense model stays as it is.
 * @throws ModelConfigError for families without a sparse relative that fits, ArgumentError for numbers that do not fit
 */
export function upcycleModel(dense: CausalLM, options: UpcycleModelOptions): CausalLM {
  const plan = planUpcycle(options, feedForwardSizeOf(dense));
  const config = sparseConfig(dense, plan);
  const { sharedGate, router } = mixtureOf(skeleton(config));
  const { normalize, scale = 1 } = router.options;
  if (!normalize || scale !== 1)
    throw new TypeError(`The sparse relative of this family does not weigh experts so that they sum to one`);
  const random = new Random(options.seed ?? 0);
  return replaceFeedForward(dense, config, (path) =>
    layerValues(path, dense.module(path) as GatedMLP, {
      ...options,
      plan,
      sharedFactor: sharedGate ? 2 : 1, // its gate begins at sigmoid(0)
      random: random.fork(layerIndex(path)),
    }),
  );
}

/** The config that {@link upcycleModel} gives: known before any work. */
export function sparseConfig(dense: CausalLM, plan: UpcyclePlan) {
  const family = familyOf(dense.config);
  if (!family.toSparse)
    throw new ModelConfigError({
      where: 'upcycle',
      what: 'this family has no sparse relative',
      got: String((dense.config.architectures as string[])[0]),
      expected: 'Llama, Mistral, Qwen 2, Qwen 3 or a dense DeepSeek V3',
    });
  return family.toSparse(dense.config, plan);
}

/** F of the dense layers. @throws ArgumentError when there are others */
export function feedForwardSizeOf(dense: CausalLM): number {
  const sizes = (dense.blocks as readonly DecoderBlock[]).map(({ mlp }) =>
    mlp instanceof GatedMLP ? mlp.gate.outFeatures : null,
  );
  const [size] = sizes;
  if (typeof size === 'number' && sizes.every((each) => each === size)) return size;
  throw new ArgumentError({
    where: 'upcycle',
    what: sizes.includes(null) ? 'the model has experts already' : 'its feed-forward layers differ in size',
    got: sizes.map((each) => each ?? 'experts').join(', '),
    expected: 'dense feed-forward layers of one size',
  });
}

interface LayerOptions extends UpcycleModelOptions {
  readonly plan: UpcyclePlan;
  readonly sharedFactor: number;
  readonly random: Random;
}

/** Everything below `blocks.i.mlp` of the sparse model. */
function layerValues(
  path: string,
  { gate, up, down }: GatedMLP,
  { plan, noise = 0, directions, sharedFactor, random }: LayerOptions,
): LayerValues {
  if ([gate, up, down].some(({ bias }) => bias !== null))
    throw new ArgumentError({
      where: path,
      what: 'experts have no biases, and this feed-forward layer has some',
      hint: 'Such models cannot become sparse without changing what they compute.',
    });
  const weights: FeedForwardWeights = noGrad(() => ({
    gate: gate.effectiveWeight(),
    up: up.effectiveWeight(),
    down: down.effectiveWeight(),
  }));
  const C = gate.inFeatures;
  const { backend } = weights.gate;
  const own =
    directions?.get(path) ??
    noGrad(() =>
      scope(() =>
        random
          .fork(0)
          .normal([plan.copies, C], { backend })
          .mul(C ** -0.5),
      ),
    );
  const experts = expertStacks(weights, plan, { noise, random });
  const shared = plan.shared > 0 ? sharedExperts(weights, plan, sharedFactor) : null;
  const values: [string, Tensor][] = [['router.weight', expertRouter(own, plan)]];
  for (const [name, value] of Object.entries(experts)) values.push([`experts.${name}.weight`, value]);
  for (const [name, value] of Object.entries(shared ?? {}) as [string, Tensor][])
    values.push([`shared.${name}.weight`, value]);
  for (const weight of Object.values(weights)) weight.dispose();
  return new Map(values);
}

function mixtureOf(model: CausalLM): MixtureOfExperts {
  const found = [...model.namedModules()].find(([, module]) => module instanceof MixtureOfExperts)?.[1];
  return found as MixtureOfExperts;
}

function layerIndex(path: string): number {
  return Number(/\d+/.exec(path)?.[0]);
}
