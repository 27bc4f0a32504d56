import { RotaryEmbedding } from '@frugal/tensor-core/nn';
import { type ConfigReader, ModelConfigError } from './config-reader.js';

/** Rotary frequencies and the factor on cos and sin, after scaling for longer contexts. */
export interface RopeTable {
  readonly frequencies: readonly number[];
  readonly attentionFactor: number;
}

/**
 * Reads the rotary settings of a config, in the older layout (`rope_theta`, `rope_scaling`) and the newer one
 * (`rope_parameters`). `contextLength` is max_position_embeddings.
 * @throws ModelConfigError for unknown scalings, settings out of range, and heads that are rotated only in part
 */
export function readRope(config: ConfigReader, headSize: number, contextLength: number): RopeTable {
  const newer = config.object('rope_parameters');
  const older = config.object('rope_scaling');
  if (newer && older) {
    throw new ModelConfigError({
      where: 'config.json',
      what: 'both rope_parameters and rope_scaling are given',
      hint: 'Remove the one that does not hold.',
    });
  }
  (newer ?? config).only('partial_rotary_factor', 1);
  const theta = newer ? newer.number('rope_theta', 10000) : config.number('rope_theta', 10000);
  const plain = RotaryEmbedding.frequencies(headSize, theta);
  const scaling = newer ?? older;
  if (!scaling) return checked({ frequencies: plain, attentionFactor: 1 }, headSize);
  const typeField = scaling.has('rope_type') ? 'rope_type' : 'type';
  scaling.ignore('type');
  const type = scaling.oneOf(typeField, ['default', 'linear', 'llama3', 'yarn'], 'default');
  const table = scalings[type](plain, scaling, { theta, headSize, contextLength });
  scaling.finish();
  return checked(table, headSize);
}

/** A factor of 0 or a base below 1 would only show as NaN in the logits. */
function checked(table: RopeTable, headSize: number): RopeTable {
  if (headSize % 2 !== 0) {
    throw new ModelConfigError({
      where: 'config.json',
      what: 'field head_dim',
      got: String(headSize),
      expected: 'an even number',
    });
  }
  const numbers = [...table.frequencies, table.attentionFactor];
  if (numbers.every((value) => Number.isFinite(value) && value > 0)) return table;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'the rotary settings give no usable angles',
    got: numbers.join(', '),
  });
}

interface Setting {
  readonly theta: number;
  readonly headSize: number;
  readonly contextLength: number;
}

type Scaling = (plain: readonly number[], config: ConfigReader, setting: Setting) => RopeTable;

const scalings: Record<'default' | 'linear' | 'llama3' | 'yarn', Scaling> = {
  default: (frequencies) => ({ frequencies, attentionFactor: 1 }),

  /** Positions divided by the factor (Chen et al. 2023, arXiv:2306.15595). */
  linear: (plain, config) => {
    const factor = config.number('factor');
    return { frequencies: plain.map((f) => f / factor), attentionFactor: 1 };
  },

  /** Long wavelengths divided, short ones kept, a smooth ramp between (Llama 3.1). */
  llama3: (plain, config) => {
    const factor = config.number('factor');
    const low = config.number('low_freq_factor');
    const high = config.number('high_freq_factor');
    const original = config.integer('original_max_position_embeddings');
    const frequencies = plain.map((f) => {
      const turns = (original * f) / (2 * Math.PI);
      const smooth = Math.min(1, Math.max(0, (turns - low) / (high - low)));
      return (1 - smooth) * (f / factor) + smooth * f;
    });
    return { frequencies, attentionFactor: 1 };
  },

  /** Interpolates by wavelength and sharpens attention (Peng et al. 2023, arXiv:2309.00071). */
  yarn: (plain, config, { theta, headSize, contextLength }) => {
    const original = config.integer('original_max_position_embeddings', contextLength);
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
    return { frequencies, attentionFactor: yarnAttention(config, factor) };
  },
};

function yarnAttention(config: ConfigReader, factor: number): number {
  const sharpen = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const chosen = config.number('attention_factor', 0);
  const scale = config.number('mscale', 0);
  const scaleAll = config.number('mscale_all_dim', 0);
  if (chosen < 0)
    throw new ModelConfigError({ where: 'yarn', what: 'attention_factor is negative', got: String(chosen) });
  if (chosen > 0) return chosen;
  return scale > 0 && scaleAll > 0 ? sharpen(scale) / sharpen(scaleAll) : sharpen(1);
}
