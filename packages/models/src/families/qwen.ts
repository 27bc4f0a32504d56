import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader } from '../config-reader.js';
import { denseShape, readLayerTypes, readStandard, windowsOf } from '../decoder-config.js';
import type { DecoderShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family } from './family.js';
import { decoderGgufNames } from './gguf-names.js';
import { decoderNames, layerNames } from './hugging-face-names.js';
import { sparseQwen2, sparseQwen3, spelledOut } from './sparse-configs.js';

/** What the two generations differ in. */
interface Generation {
  readonly headSize?: number;
  readonly headNorms: boolean;
  bias(config: ConfigReader): { readonly input: boolean; readonly output: boolean };
}

const second: Generation = { headNorms: false, bias: () => ({ input: true, output: false }) };
const third: Generation = {
  headSize: 128,
  headNorms: true,
  bias(config) {
    const bias = config.boolean('attention_bias', false);
    return { input: bias, output: bias };
  },
};

function readConfig(
  json: ModelConfig,
  { headSize: defaultHeadSize, headNorms, bias }: Generation,
): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config, {
    keyHeads: 32,
    contextLength: 32768,
    ...(defaultHeadSize && { headSize: defaultHeadSize }),
  });
  const windows = readWindows(config, standard.layers);
  const biases = bias(config);
  const { rotary, contextLength } = readRope(config, standard.headSize, standard);
  config.only('use_mrope', false);
  config.finish();
  const { heads, keyHeads, headSize } = standard;
  return {
    ...standard,
    contextLength,
    blocks: windows.map((window) => ({
      attention: { kind: 'heads', heads, keyHeads, headSize, bias: biases, rotary, window, headNorms },
      mlp: denseShape(standard),
    })),
  };
}

/** Layers from `max_window_layers` on slide, where sliding is used at all. */
function readWindows(config: ConfigReader, layers: number): (number | undefined)[] {
  const size = config.integerOrNull('sliding_window', 4096);
  const window = config.boolean('use_sliding_window', false) ? size : null;
  const first = config.count('max_window_layers', 28);
  const types = readLayerTypes(config, layers, (layer) =>
    window !== null && layer >= first ? 'sliding_attention' : 'full_attention',
  );
  return windowsOf(types, window);
}

/** Its sparse relative has another rule for which layers slide. */
function windowsSpelledOut(config: ModelConfig): ModelConfig {
  if (!config.use_sliding_window || config.layer_types) return {};
  const first = Number(config.max_window_layers ?? 28);
  const types = Array.from({ length: Number(config.num_hidden_layers) }, (_, layer) =>
    layer >= first ? 'sliding_attention' : 'full_attention',
  );
  return { layer_types: types };
}

/** What both mean by fields that are left out. */
const unsaid = { num_key_value_heads: 32, max_position_embeddings: 32768, rms_norm_eps: 1e-6 };

/** Qwen 2 and 2.5 (Yang et al. 2024, arXiv:2407.10671): biases on queries, keys and values. */
export const qwen2: Family = {
  architectures: ['Qwen2ForCausalLM'],
  modelType: 'qwen2',
  build: (config, initialize) => buildDecoder(readConfig(config, second), config, initialize),
  names: () => [...decoderNames, ...layerNames()],
  ggufNames: () => decoderGgufNames,
  toSparse: (config, experts) =>
    sparseQwen2({ ...spelledOut(config, unsaid), ...windowsSpelledOut(config) }, experts),
};

/** Qwen 3 (Yang et al. 2025, arXiv:2505.09388): norms over each head's query and key. */
export const qwen3: Family = {
  architectures: ['Qwen3ForCausalLM'],
  modelType: 'qwen3',
  build: (config, initialize) => buildDecoder(readConfig(config, third), config, initialize),
  names: () => [...decoderNames, ...layerNames()],
  ggufNames: () => decoderGgufNames,
  toSparse: (config, experts) => sparseQwen3(spelledOut(config, { head_dim: 128, ...unsaid }), experts),
};
