import { ArgumentError } from '@frugal/tensor-core';
import type { CausalLM, ModelConfig } from '@frugal/tensor-core/nn';
import { holders } from './module-state.js';

/** Builds an empty model of a config: `skeleton` of `@frugal/models`. */
export type Rebuild = (config: ModelConfig) => CausalLM;

export interface Restructured {
  readonly model: CausalLM;
  /** New path of a block → the path it had: `blocks.3` → `blocks.5`. */
  readonly renamed: Readonly<Record<string, string>>;
}

/**
 * The same weights in a model of the current config without the removed blocks. Whatever a config says per layer
 * (lists as long as there are layers) loses the entries of removed ones.
 */
export function restructure(model: CausalLM, removed: ReadonlySet<number>, rebuild: Rebuild): Restructured {
  const kept = [...model.blocks.keys()].filter((index) => !removed.has(index));
  if (kept.length === 0) {
    throw new ArgumentError({
      where: 'compress',
      what: 'all blocks would be removed',
      hint: 'Keep at least one.',
    });
  }
  const next = rebuild(configOfLayers(model.config, model.blocks.length, kept));
  const renamed: Record<string, string> = {};
  for (const [index, before] of kept.entries())
    if (index !== before) renamed[`blocks.${index}`] = `blocks.${before}`;
  const pathBefore = (path: string) =>
    path.replace(/^blocks\.(\d+)(?=\.|$)/, (_, index) => `blocks.${kept[Number(index)]}`);
  let whole = '';
  for (const [path] of [...holders(next)]) {
    if (whole && path.startsWith(`${whole}.`)) continue; // came along with the stack that it is a part of
    next.replace(path, model.module(pathBefore(path)));
    whole = path;
  }
  next.computeDType = model.computeDType;
  if (model.cacheDType) next.cacheDType = model.cacheDType;
  return { model: next, renamed };
}

/** The config of a model of `layers` layers, for one that has only those in `kept`, in this order. */
export function configOfLayers(config: ModelConfig, layers: number, kept: readonly number[]): ModelConfig {
  const entries = Object.entries(config).map(([key, value]) => {
    if (key === 'num_hidden_layers') return [key, kept.length];
    if (Array.isArray(value) && value.length === layers) return [key, kept.map((index) => value[index])];
    return [key, value];
  });
  return Object.fromEntries(entries);
}
