import type { GgufValue } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ConfigReader, ModelConfigError } from '../config-reader.js';
import { readRope } from '../rope-config.js';
import { yarnAttentionFactor, yarnSharpening } from '../rope-scaling.js';
import type { GgufMetadataReader } from './metadata-reader.js';
import { refuseConfig } from './refusal.js';
import { headSizeOf } from './shared-config.js';
import { f32, text, u32 } from './values.js';

/** The rotary settings of config.json, in the older layout. `shared` has the sizes; `factors` is the tensor rope_freqs. */
export function readGgufRope(
  reader: GgufMetadataReader,
  shared: ModelConfig,
  factors: Float32Array | null,
): ModelConfig {
  const contextLength = shared.max_position_embeddings as number;
  const theta = { rope_theta: reader.number('rope.freq_base', 10000) };
  const type = reader.string('rope.scaling.type', ['none', 'linear', 'yarn'], 'none');
  reader.ignore('rope.scaling.finetuned');
  if (type === 'none') {
    reader.only('rope.scaling.factor', 1);
    reader.ignore('rope.scaling.original_context_length');
    return factors
      ? { ...theta, rope_scaling: llama3Scaling({ ...shared, ...theta }, factors, reader.file) }
      : theta;
  }
  if (factors) reader.refuse('rope.scaling.type', type, 'none, as the file has rope_freqs');
  const factor = reader.number('rope.scaling.factor');
  if (type === 'linear') {
    reader.ignore('rope.scaling.original_context_length');
    return { ...theta, rope_scaling: { rope_type: 'linear', factor } };
  }
  return {
    ...theta,
    rope_scaling: {
      rope_type: 'yarn',
      factor,
      original_max_position_embeddings: reader.integer(
        'rope.scaling.original_context_length',
        Math.round(contextLength / factor),
      ),
      beta_fast: reader.number('rope.scaling.yarn_beta_fast', 32),
      beta_slow: reader.number('rope.scaling.yarn_beta_slow', 1),
      ...readAttentionFactor(reader, factor),
    },
  };
}

/**
 * GGUF counts from what the paper says on. The other key is written by the converter and read by nobody: llama.cpp puts the
 * paper's value in its place.
 */
function readAttentionFactor(reader: GgufMetadataReader, factor: number): ModelConfig {
  reader.ignore('rope.scaling.yarn_attn_factor');
  const relative = reader.number('rope.scaling.attn_factor', 1);
  return relative === 1 ? {} : { attention_factor: relative * yarnSharpening(factor) };
}

interface RopeSettings {
  readonly rope_theta?: number;
  readonly rope_type?: string;
  readonly type?: string;
  readonly factor?: number;
  readonly original_max_position_embeddings?: number;
  readonly beta_fast?: number;
  readonly beta_slow?: number;
  readonly attention_factor?: number;
  readonly mscale?: number;
  readonly mscale_all_dim?: number;
  readonly truncate?: boolean;
}

/** What config.json says of rotation, in either layout. */
export function ropeSettings(config: ModelConfig): RopeSettings & { readonly kind: string } {
  const nested = (config.rope_parameters ?? config.rope_scaling ?? {}) as RopeSettings;
  const theta = nested.rope_theta ?? (config.rope_theta as number | undefined) ?? 10000;
  return { ...nested, rope_theta: theta, kind: nested.rope_type ?? nested.type ?? 'default' };
}

/** The other direction. Llama 3's scaling lies in a tensor: see {@link ropeFactors}. */
export function writeGgufRope(config: ModelConfig): Record<string, GgufValue> {
  const settings = ropeSettings(config);
  const { kind, factor = 1, original_max_position_embeddings: original } = settings;
  const base = { 'rope.freq_base': f32(settings.rope_theta as number) };
  if (kind === 'default' || kind === 'llama3') return base;
  if (kind !== 'linear' && kind !== 'yarn') {
    refuseConfig('GGUF cannot hold this rotary scaling', kind, 'default, linear, llama3 or yarn');
  }
  const scaled = { ...base, 'rope.scaling.type': text(kind), 'rope.scaling.factor': f32(factor) };
  if (kind === 'linear') return scaled;
  if (settings.truncate === false) refuseConfig('GGUF has no yarn without truncation', 'truncate false');
  const { attention_factor: chosen, mscale, mscale_all_dim: scaleAll } = settings;
  const attention = yarnAttentionFactor(factor, chosen, mscale, scaleAll) / yarnSharpening(factor);
  return {
    ...scaled,
    ...(Math.abs(attention - 1) > 1e-7 && { 'rope.scaling.attn_factor': f32(attention) }),
    'rope.scaling.original_context_length': u32(
      original ?? Math.round((config.max_position_embeddings as number) / factor),
    ),
    ...(settings.beta_fast !== undefined && { 'rope.scaling.yarn_beta_fast': f32(settings.beta_fast) }),
    ...(settings.beta_slow !== undefined && { 'rope.scaling.yarn_beta_slow': f32(settings.beta_slow) }),
  };
}

/** By what Llama 3's scaling divides each frequency (the tensor `rope_freqs.weight`); null for other scalings. */
export function ropeFactors(config: ModelConfig): Float32Array | null {
  const settings = ropeSettings(config);
  if (settings.kind !== 'llama3') return null;
  const headSize = headSizeOf(config);
  const contextLength = config.max_position_embeddings as number;
  const { frequencies } = readRope(new ConfigReader(config), headSize, { contextLength });
  const theta = settings.rope_theta as number;
  return Float32Array.from(frequencies, (frequency, i) => theta ** ((-2 * i) / headSize) / frequency);
}

/** Contexts that Llama 3's relatives were trained with before they were scaled. */
const ORIGINAL_LENGTHS = [8192, 4096, 16384, 32768, 2048];

/** The settings of Llama 3's scaling that give these factors: the file has only the result. */
function llama3Scaling(config: ModelConfig, factors: Float32Array, file: string): ModelConfig {
  for (const original of ORIGINAL_LENGTHS) {
    const scaling = {
      rope_type: 'llama3',
      factor: Math.max(...factors),
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: original,
    };
    const expected = ropeFactors({ ...config, rope_scaling: scaling }) as Float32Array;
    const fits =
      factors.length === expected.length && factors.every((f, i) => Math.abs(f / expected[i] - 1) < 1e-4);
    if (fits) return scaling;
  }
  throw new ModelConfigError({
    where: file,
    what: 'rope_freqs.weight scales rotary frequencies in a way that is not known here',
    got: [...factors.slice(0, 4), '…', ...factors.slice(-2)].join(', '),
    expected: "Llama 3's scaling",
  });
}
