import type { GgufValue } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import type { GgufArchitecture, GgufFile } from '../architecture.js';
import type { GgufMetadataReader } from '../metadata-reader.js';
import { refuseConfig, requireSetting } from '../refusal.js';
import { readGgufRope, writeGgufRope } from '../rope.js';
import { headSizeOf, readDecoderConfig, writeDecoderConfig } from '../shared-config.js';
import { f32, flags, u32 } from '../values.js';

const SLIDING = 'sliding_attention';
const FULL = 'full_attention';

/** What the two generations differ in. */
interface Generation {
  readonly name: 'gemma2' | 'gemma3';
  readonly architecture: string;
  readonly modelType: string;
  /** Every how many layers one sees everything. */
  readonly fullEvery: number;
  /** The size of which llama.cpp takes another scale of attention: it goes by the number of layers. */
  readonly largestLayers: number;
  readonly defaults: ModelConfig;
  readRest(file: GgufFile, shared: ModelConfig): ModelConfig;
  writeRest(config: ModelConfig): Record<string, GgufValue>;
}

const second: Generation = {
  name: 'gemma2',
  architecture: 'Gemma2ForCausalLM',
  modelType: 'gemma2',
  fullEvery: 2,
  largestLayers: 46,
  defaults: { max_position_embeddings: 8192, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  readRest: ({ reader, ropeFactors }, shared) => ({
    attn_logit_softcapping: reader.number('attn_logit_softcapping', 50),
    final_logit_softcapping: reader.number('final_logit_softcapping', 30),
    ...readGgufRope(reader, shared, ropeFactors),
  }),
  writeRest(config) {
    requireSetting(config, 'tie_word_embeddings', [true]);
    const caps = ['attn_logit_softcapping', 'final_logit_softcapping'].map((name) => {
      if (config[name] === null) refuseConfig("GGUF's gemma2 always has soft caps", `${name} null`);
      return [name, f32(config[name] as number)] as const;
    });
    return { ...Object.fromEntries(caps), ...writeGgufRope(config) };
  },
};

const third: Generation = {
  name: 'gemma3',
  architecture: 'Gemma3ForCausalLM',
  modelType: 'gemma3_text',
  fullEvery: 6,
  largestLayers: 62,
  defaults: { max_position_embeddings: 131072 },
  readRest: ({ reader, ropeFactors }, shared) => ({
    final_logit_softcapping: reader.number('final_logit_softcapping', 0) || null,
    rope_local_base_freq: reader.number('rope.freq_base_swa', 10000),
    ...readGgufRope(reader, shared, ropeFactors),
  }),
  writeRest(config) {
    const { rope_parameters: nested, final_logit_softcapping: cap } = config;
    const { [FULL]: full, [SLIDING]: local } = (nested ?? {}) as Record<string, ModelConfig | undefined>;
    if (local && (local.rope_type ?? 'default') !== 'default')
      refuseConfig("GGUF's gemma3 scales no positions in layers that slide", String(local.rope_type));
    const { rope_parameters: _, ...rest } = config;
    return {
      ...writeGgufRope({ rope_theta: 1e6, ...rest, ...(nested !== undefined && { rope_parameters: full }) }),
      'rope.freq_base_swa': f32((local?.rope_theta ?? config.rope_local_base_freq ?? 10000) as number),
      ...(typeof cap === 'number' && { final_logit_softcapping: f32(cap) }),
    };
  },
};

/** Gemma 2 and 3: norms are stored with their 1 added, and which layers slide is taken for granted where it is usual. */
function gemma(generation: Generation): GgufArchitecture {
  const { name, architecture, modelType, defaults, readRest, writeRest } = generation;
  return {
    name,
    writes: [architecture],
    readConfig(file) {
      const { reader, entries } = file;
      const shared = readDecoderConfig(reader, entries);
      return {
        architectures: [architecture],
        model_type: modelType,
        hidden_activation: 'gelu_pytorch_tanh',
        ...shared,
        head_dim: headSizeOf(shared),
        query_pre_attn_scalar: queryScalar(shared, generation),
        ...readWindow(reader, shared, generation),
        ...readRest(file, shared),
      };
    },
    writeConfig(config) {
      const complete = {
        head_dim: 256,
        num_key_value_heads: 4,
        sliding_window: 4096,
        ...defaults,
        ...config,
      };
      requireSetting(config, 'hidden_activation', ['gelu_pytorch_tanh']);
      requireSetting(config, 'attention_bias', [false]);
      const scalar = queryScalar(complete, generation);
      if ((config.query_pre_attn_scalar ?? 256) !== scalar)
        refuseConfig(
          'field query_pre_attn_scalar has a value that GGUF cannot hold',
          String(config.query_pre_attn_scalar ?? 256),
          String(scalar),
        );
      return {
        ...writeDecoderConfig(complete),
        ...writeWindow(complete, generation),
        ...writeRest(complete),
      };
    },
    addedTo: (path) => Number(/norm\.weight$/i.test(path)),
  };
}

/** What llama.cpp scales attention with: nothing in the file says it. */
function queryScalar(config: ModelConfig, { largestLayers }: Generation): number {
  const { num_hidden_layers, hidden_size, num_attention_heads } = config as Record<string, number>;
  return num_hidden_layers === largestLayers ? hidden_size / num_attention_heads : headSizeOf(config);
}

function readWindow(
  reader: GgufMetadataReader,
  { num_hidden_layers: layers }: ModelConfig,
  { fullEvery, name }: Generation,
): ModelConfig {
  const size = reader.number('attention.sliding_window', name === 'gemma2' ? 4096 : 0);
  const slides = reader.pattern('attention.sliding_window_pattern', layers as number, fullEvery);
  return {
    sliding_window: size || null,
    layer_types: slides.map((flag) => (flag && size > 0 ? SLIDING : FULL)),
  };
}

function writeWindow(config: ModelConfig, { fullEvery, name }: Generation): Record<string, GgufValue> {
  const { num_hidden_layers: layers, sliding_window_pattern: every = fullEvery, layer_types } = config;
  const usual = (step: number) => Array.from({ length: layers as number }, (_, i) => (i + 1) % step !== 0);
  const types = layer_types as readonly string[] | null | undefined;
  const slides = types?.map((type) => type === SLIDING) ?? usual(every as number);
  if (name === 'gemma3' && !slides.includes(true)) return {};
  return {
    'attention.sliding_window': u32(config.sliding_window as number),
    ...(slides.some((flag, i) => flag !== usual(fullEvery)[i]) && {
      'attention.sliding_window_pattern': flags(slides),
    }),
  };
}

export const gemma2 = gemma(second);
export const gemma3 = gemma(third);
