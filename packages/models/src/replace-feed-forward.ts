import { noGrad, scope, type Tensor, withBackend, zeros } from '@frugal/tensor-core';
import {
  type CausalLM,
  isLinearLike,
  type ModelConfig,
  PackedEmbedding,
  type Parameter,
} from '@frugal/tensor-core/nn';
import { familyOf } from './registry.js';

/** Values of parameters by their paths below the layer: `router.weight`, `experts.gate.weight`. */
export type LayerValues = ReadonlyMap<string, Tensor>;

/**
 * A model of another config with copies of all weights of `source` but those of the feed-forward layers, which `valuesOf`
 * gives for each path (`blocks.3.mlp`); parameters that it leaves out are zero. Packed matrices become f32 ones.
 */
export function replaceFeedForward(
  source: CausalLM,
  config: ModelConfig,
  valuesOf: (path: string) => LayerValues,
): CausalLM {
  const made = new Map<string, LayerValues>();
  const { backend } = source.parameters()[0].value;
  return withBackend(backend, () =>
    familyOf(config).build(config, (path, shape) => {
      const [, layer, rest] = /^(blocks\.\d+\.mlp)\.(.+)$/.exec(path) ?? [];
      if (layer === undefined) return parameterCopy(source, path);
      const values = made.get(layer) ?? valuesOf(layer);
      made.set(layer, values);
      return values.get(rest) ?? zeros(shape);
    }),
  );
}

/** A copy of the parameter at a path, unpacked where it is packed. */
export function parameterCopy(model: CausalLM, path: string): Tensor {
  const dot = path.lastIndexOf('.');
  const module = model.module(path.slice(0, dot));
  const isWeight = path.endsWith('.weight');
  if (isWeight && module instanceof PackedEmbedding) return noGrad(() => module.weight.unpack());
  return noGrad(() =>
    scope(() => {
      if (isWeight && isLinearLike(module)) return module.effectiveWeight().copy();
      const member = [...module.members()].find(([name]) => name === path.slice(dot + 1))?.[1];
      return (member as Parameter).value.copy();
    }),
  );
}
