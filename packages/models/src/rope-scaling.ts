import type { DynamicRope } from '@frugal/tensor-core/nn';
import { type ConfigReader, ModelConfigError } from './config-reader.js';

/** Rotary frequencies after scaling for longer contexts. */
export interface RopeTable {
  readonly frequencies: readonly number[];
  /** Factor on cos and sin; default 1. */
  readonly attentionFactor?: number;
  readonly dynamic?: DynamicRope;
  /** How far the scaled frequencies reach, where that is more than max_position_embeddings. */
  readonly contextLength?: number;
  /** Factor on attention scores that some families apply; default 1. */
  readonly scoreFactor?: number;
}

/** What the scalings are computed from. */
export interface RopeSetting {
  readonly theta: number;
  readonly headSize: number;
  /** max_position_embeddings. */
  readonly contextLength: number;
  /** Context before scaling, where the config says it outside the scaling. */
  readonly original: number | null;
}

export type RopeType = 'default' | 'linear' | 'dynamic' | 'llama3' | 'yarn';

type Scaling = (plain: readonly number[], config: ConfigReader, setting: RopeSetting) => RopeTable;

export const ropeScalings: Readonly<Record<RopeType, Scaling>> = {
  default: (frequencies) => ({ frequencies }),

  /** Positions divided by the factor (Chen et al. 2023, arXiv:2306.15595). */
  linear: (plain, config, { contextLength }) => {
    const factor = config.number('factor');
    return { frequencies: plain.map((f) => f / factor), contextLength: contextLength * factor };
  },

  /** A base that grows with the sequence once that is longer than the context (dynamic NTK, bloc97 and emozilla 2023). */
  dynamic: (plain, config, { contextLength }) => {
    const factor = config.number('factor');
    config.ignore('original_max_position_embeddings');
    return { frequencies: plain, dynamic: { factor, contextLength }, contextLength: contextLength * factor };
  },

  /** Long wavelengths divided, short ones kept, a smooth ramp between (Llama 3.1). */
  llama3: (plain, config, setting) => {
    const factor = config.number('factor');
    const low = config.number('low_freq_factor');
    const high = config.number('high_freq_factor');
    const original = readOriginal(config, setting);
    const frequencies = plain.map((f) => {
      const turns = (original * f) / (2 * Math.PI);
      const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      return (1 - smooth) * (f / factor) + smooth * f;
    });
    return { frequencies, contextLength: original * factor };
  },

  /** Interpolates by wavelength and sharpens attention (Peng et al. 2023, arXiv:2309.00071). */
  yarn: (plain, config, setting) => {
    const { theta, headSize, contextLength } = setting;
    const original = readOriginal(config, setting);
    const factor = config.number('factor', contextLength / original);
    const fast = config.number('beta_fast', 32);
    const slow = config.number('beta_slow', 1);
    const dimensionOf = (turns: number) =>
      (headSize * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    const truncate = config.boolean('truncate', true);
    const first = Math.max(0, truncate ? Math.floor(dimensionOf(fast)) : dimensionOf(fast));
    const last = Math.min(headSize - 1, truncate ? Math.ceil(dimensionOf(slow)) : dimensionOf(slow));
    const frequencies = plain.map((f, i) => {
      const ramp = Math.min(1, Math.max(0, (i - first) / (last === first ? 0.001 : last - first)));
      return (f / factor) * ramp + f * (1 - ramp);
    });
    return { frequencies, contextLength: original * factor, ...yarnFactors(config, factor) };
  },
};

function readOriginal(config: ConfigReader, { original, contextLength }: RopeSetting): number {
  const own = config.integer('original_max_position_embeddings', contextLength);
  return original ?? own;
}

function yarnFactors(
  config: ConfigReader,
  factor: number,
): { readonly attentionFactor: number; readonly scoreFactor: number } {
  const chosen = config.number('attention_factor', 0);
  const scale = config.number('mscale', 0);
  const scaleAll = config.number('mscale_all_dim', 0);
  if (chosen < 0)
    throw new ModelConfigError({ where: 'yarn', what: 'attention_factor is negative', got: String(chosen) });
  return {
    attentionFactor: yarnAttentionFactor(factor, chosen, scale, scaleAll),
    scoreFactor: scaleAll === 0 ? 1 : yarnSharpening(factor, scaleAll) ** 2,
  };
}

/** Yarn's factor on cos and sin: the one given, the ratio of two scales, or what the paper says; 0 stands for none given. */
export function yarnAttentionFactor(factor: number, chosen = 0, scale = 0, scaleAll = 0): number {
  if (chosen > 0) return chosen;
  return scale > 0 && scaleAll > 0
    ? yarnSharpening(factor, scale) / yarnSharpening(factor, scaleAll)
    : yarnSharpening(factor);
}

/** 0.1 · scale · ln(factor) + 1 (Peng et al. 2023, equation 22). */
export function yarnSharpening(factor: number, scale = 1): number {
  return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
}
