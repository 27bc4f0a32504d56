import { createModifier, plan, presetRecipe } from '@frugal/compress';
import { type ComputeKind, countParameters, type Footprint, type ModelShape } from '@frugal/eval';
import { MixtureOfExperts } from '@frugal/moe';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { methods } from '../compression.js';

/** Presets that change formats alone, the most exact first. */
export const FORMAT_PRESETS: readonly string[] = ['int8', 'q8_0', 'fp8', 'q4_k_m', 'int4-gptq', 'nf4'];

/** What products of each preset are computed in on a processor. */
const COMPUTE: Readonly<Record<string, ComputeKind>> = { fp8: 'f32', nf4: 'f32' };

/** Sizes of a model from its structure; it may be one without memory. */
export function shapeOf(model: CausalLM): ModelShape {
  const weights = weightsOf(model);
  const heads = Number(model.config.num_attention_heads ?? 0);
  const headSize = Number(model.config.head_dim ?? Number(model.config.hidden_size) / heads);
  return {
    parameters: countParameters(model),
    activeParameters: Math.round(weights.reduce((sum, { size, active }) => sum + size * active, 0)),
    layers: model.blocks.length,
    cache: model.cacheSpec.map(({ parts, window }) => ({
      width: parts.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
      window: window ?? null,
    })),
    attentionWidth: heads * headSize,
  };
}

/** The model in bf16, as it is stored where it is quantised already, and after each preset that fits it. */
export function footprintsOf(model: CausalLM, storedBytes: number | null = null): Footprint[] {
  const weights = weightsOf(model);
  const total = weights.reduce((sum, { size }) => sum + size, 0);
  const active = weights.reduce((sum, { size, active: share }) => sum + size * share, 0);
  const dense = {
    recipe: 'bf16',
    bytes: 2 * total,
    activeBytes: 2 * active,
    compute: 'bf16',
    cacheBytesPerNumber: 2,
  } as const;
  const stored: Footprint[] =
    storedBytes === null
      ? []
      : [
          {
            ...dense,
            recipe: 'as it is',
            bytes: storedBytes,
            activeBytes: (storedBytes * active) / total,
            compute: 'int8',
          },
        ];
  return [
    dense,
    ...stored,
    ...FORMAT_PRESETS.flatMap((preset) => packedFootprint(model, preset, weights) ?? []),
  ];
}

/** One weight or stack of weights: how many numbers, and which share of them a token uses. */
interface Weight {
  readonly path: string;
  readonly size: number;
  readonly active: number;
}

function weightsOf(model: CausalLM): Weight[] {
  const mixtures = [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof MixtureOfExperts
      ? [{ path, share: module.router.options.chosen / module.router.experts }]
      : [],
  );
  const head = new Set(model.head.parameters());
  const seen = new Set<unknown>();
  const found: Weight[] = [];
  for (const [path, parameter] of model.namedParameters()) {
    if (seen.has(parameter)) continue;
    seen.add(parameter);
    const size = parameter.shape.reduce((product, length) => product * length, 1);
    const mixture = mixtures.find(({ path: prefix }) => path.startsWith(`${prefix}.experts.`));
    // Embeddings give one row to a token, unless the head is the same matrix.
    const isLookup = /^embed(ding)?s?\b/.test(path) && !head.has(parameter);
    found.push({ path, size, active: isLookup ? 0 : (mixture?.share ?? 1) });
  }
  return found;
}

/** Undefined when the preset does not fit the model. */
function packedFootprint(model: CausalLM, preset: string, weights: readonly Weight[]): Footprint | undefined {
  const stages = presetRecipe(preset, model).stages.map(({ name, modifiers }) => ({
    name,
    modifiers: modifiers.map((spec) => createModifier(spec, methods)),
  }));
  const sites = plan(model, stages, { calibration: [new Int32Array(1)] })
    .stages.flatMap((stage) => stage.modifiers.flatMap((modifier) => modifier.sites))
    .filter(({ packed }) => packed !== undefined);
  if (sites.length === 0) return undefined;
  let [bytes, activeBytes] = [0, 0];
  const left = new Map(weights.map((weight) => [weight.path, weight]));
  const byLayer = new Map(weights.map((weight) => [weight.path.replace(/\.weight$/, ''), weight]));
  for (const { path, bytesAfter, packed } of sites) {
    const owned = [path, ...(packed?.sharedWith ?? [])].flatMap((name) => ownerOf(name, byLayer) ?? []);
    bytes += bytesAfter;
    activeBytes += bytesAfter * Math.max(0, ...owned.map(({ active }) => active));
    for (const weight of owned) left.delete(weight.path);
  }
  for (const { size, active } of left.values()) {
    bytes += 2 * size;
    activeBytes += 2 * size * active;
  }
  return { recipe: preset, bytes, activeBytes, compute: COMPUTE[preset] ?? 'int8', cacheBytesPerNumber: 2 };
}

/** The weight of a layer, or the stack that holds it: an expert's path continues that of its stack. */
function ownerOf(path: string, byLayer: ReadonlyMap<string, Weight>): Weight | undefined {
  for (let name = path; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
    const found = byLayer.get(name);
    if (found) return found;
  }
  return undefined;
}
