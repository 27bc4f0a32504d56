import { fitGate, MixtureOfExperts } from '@frugal/moe';
import { ArgumentError, concat, noGrad, scope, type Tensor, zeros } from '@frugal/tensor-core';
import { type CausalLM, GatedMLP, type ModelConfig } from '@frugal/tensor-core/nn';
import type { DecoderBlock } from './decoder.js';
import { feedForwardInputs } from './feed-forward-inputs.js';
import { type LayerValues, parameterCopy, replaceFeedForward } from './replace-feed-forward.js';
import { feedForwardSizeOf, sparseConfig } from './upcycle.js';

/** A model that differs from the base in its feed-forward layers alone. */
export interface Specialist {
  readonly name: string;
  readonly model: CausalLM;
}

/** Text of the kind that an expert is for, as token sequences, and the model that knows it best so far. */
export interface GateText {
  /** Which expert of the mixture its tokens belong to. */
  readonly expert: number;
  readonly model: CausalLM;
  readonly sequences: readonly ArrayLike<number>[];
}

/** Largest difference of a shared weight, relative to the largest weight, that counts as none. */
const SHARED_TOLERANCE = 1e-5;

/**
 * One model of N specialists of a base: attention, norms and embeddings are shared, each specialist's feed-forward layers
 * become an expert, in their order. Routers are zero until {@link fitGates} makes them; nothing else is ever trained. The
 * result is of a family that transformers opens.
 * @throws ArgumentError when specialists differ elsewhere too, ModelConfigError when the family has no sparse relative
 */
export async function mixModels(
  base: CausalLM,
  specialists: readonly Specialist[],
  chosen = Math.min(2, specialists.length),
): Promise<CausalLM> {
  for (const specialist of specialists) await requireShared(base, specialist);
  const size = feedForwardSizeOf(base);
  const experts = specialists.length;
  const sizes = { slices: 1, shared: 0, size, sharedSize: 0, routed: 1, copies: experts };
  const config = withoutAuxiliaryLoss(sparseConfig(base, { experts, chosen, ...sizes }));
  return replaceFeedForward(base, config, (path) => {
    const layers = specialists.map(({ model }) => model.module(path) as GatedMLP);
    return stacked((part) => layers.map((layer) => layer[part].effectiveWeight()));
  });
}

/** The mixture with one more expert, whose router rows are zero until {@link fitGates}. The old weights are copied. */
export async function extendMixture(mixture: CausalLM, specialist: Specialist): Promise<CausalLM> {
  await requireShared(mixture, specialist);
  const { router } = mixtureAt(mixture, 'blocks.0.mlp');
  const coupling = mixture.couplings().find(({ kind }) => kind === 'experts');
  const config = { ...mixture.config, ...coupling?.config(router.experts + 1) };
  return replaceFeedForward(mixture, config, (path) => {
    const old = mixtureAt(mixture, path);
    const added = specialist.model.module(path) as GatedMLP;
    const values = stacked((part) => [
      ...old.experts[part].sites.map((site) => site.effectiveWeight()),
      added[part].effectiveWeight(),
    ]);
    const rows = noGrad(() =>
      scope(() => concat([old.router.weight.value, zeros([1, added.gate.inFeatures])])),
    );
    return new Map([...values, ['router.weight', rows]]);
  });
}

/**
 * Makes the routers of a mixture from texts of each expert: layer by layer, what the layer sees in the model that knows the
 * text decides which expert its tokens go to. The rows of the first `frozen` experts stay as they are.
 */
export function fitGates(mixture: CausalLM, texts: readonly GateText[], frozen = 0): void {
  const seen = texts.map(({ expert, model, sequences }) => ({
    expert,
    inputs: feedForwardInputs(model, sequences),
  }));
  for (const path of seen[0].inputs.keys()) {
    const { router } = mixtureAt(mixture, path);
    const parts = seen.map(({ expert, inputs }) => ({ expert, x: inputs.get(path) as Tensor }));
    const labels = parts.flatMap(({ expert, x }) => new Array<number>(x.shape[0]).fill(expert));
    scope(() => {
      const x = concat(parts.map((part) => part.x));
      const kept = frozen > 0 ? noGrad(() => router.weight.value.slice(0, 0, frozen).copy()) : null;
      const fitted = fitGate(x, Int32Array.from(labels), router.experts, { frozen: kept });
      noGrad(() => router.weight.value.assign(fitted));
    });
    for (const { x } of parts) x.dispose();
  }
}

/** Parameters outside of the feed-forward layers that differ. */
async function requireShared(base: CausalLM, { name, model }: Specialist): Promise<void> {
  const refuse = (what: string, got: string, hint: string): never => {
    throw new ArgumentError({ where: name, what, got, hint });
  };
  const sizes = [base, model].map(sizesOf);
  if (
    sizes[0] !== sizes[1] ||
    !model.blocks.every((block) => (block as DecoderBlock).mlp instanceof GatedMLP)
  )
    refuse(
      'this is no specialist of the base',
      sizes[1],
      `The base is ${sizes[0]}. Route between whole models instead: ModelRouter.`,
    );
  const shared = [...model.namedParameters()]
    .map(([path]) => path)
    .filter((path) => !/^blocks\.\d+\.mlp\./.test(path));
  const different: string[] = [];
  for (const path of shared) if (await differs(base, model, path)) different.push(path);
  if (different.length > 0)
    refuse(
      'a specialist may differ from the base in its feed-forward layers alone',
      `${different.length} other parameters differ: ${different.slice(0, 3).join(', ')}${different.length > 3 ? ' …' : ''}`,
      'Train specialists with all but blocks.*.mlp frozen, or route between whole models: ModelRouter.',
    );
}

async function differs(a: CausalLM, b: CausalLM, path: string): Promise<boolean> {
  const [left, right] = [parameterCopy(a, path), parameterCopy(b, path)];
  const [most, scale] = scope(() =>
    noGrad(() => [left.sub(right).abs().max().cast('f32'), left.abs().max().cast('f32')]),
  );
  const [difference, largest] = [await most.item(), await scale.item()];
  for (const each of [left, right, most, scale]) each.dispose();
  return !(difference <= SHARED_TOLERANCE * largest);
}

/** What must be equal for weights to fit. */
function sizesOf({ vocabularySize, blocks, embed, config }: CausalLM): string {
  const { num_attention_heads: heads, num_key_value_heads: keyHeads, intermediate_size: size } = config;
  return `${blocks.length} layers of ${embed.size}, ${heads} heads (${keyHeads ?? heads} of keys), ${size} neurons, ${vocabularySize} tokens`;
}

function stacked(weightsOf: (part: 'gate' | 'up' | 'down') => Tensor[]): LayerValues {
  const parts = ['gate', 'up', 'down'] as const;
  return new Map(
    parts.map((part) => {
      const value = noGrad(() =>
        scope(() => concat(weightsOf(part).map((weight) => weight.reshape(1, ...weight.shape)))),
      );
      return [`experts.${part}.weight`, value];
    }),
  );
}

function mixtureAt(model: CausalLM, path: string): MixtureOfExperts {
  const layer = model.module(path);
  if (layer instanceof MixtureOfExperts) return layer;
  throw new ArgumentError({ where: path, what: 'this layer has no experts', got: layer.constructor.name });
}

/** Domains need not be equally frequent: nothing pulls towards an even load. */
function withoutAuxiliaryLoss(config: ModelConfig): ModelConfig {
  return { ...config, router_aux_loss_coef: 0 };
}
