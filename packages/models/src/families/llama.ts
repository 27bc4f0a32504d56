import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader } from '../config-reader.js';
import { denseShape, readStandard } from '../decoder-config.js';
import type { DecoderShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family } from './family.js';
import { decoderGgufNames } from './gguf-names.js';
import { decoderNames, layerNames } from './hugging-face-names.js';
import { refuseFields, sparseMixtral, sparseQwen2, spelledOut } from './sparse-configs.js';

function readConfig(json: ModelConfig): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config);
  const bias = config.boolean('attention_bias', false);
  const mlpBias = config.boolean('mlp_bias', false);
  const { rotary, contextLength } = readRope(config, standard.headSize, standard);
  config.finish();
  const { heads, keyHeads, headSize } = standard;
  return {
    ...standard,
    contextLength,
    blocks: Array.from({ length: standard.layers }, () => ({
      attention: { kind: 'heads', heads, keyHeads, headSize, bias: { input: bias, output: bias }, rotary },
      mlp: denseShape(standard, mlpBias),
    })),
  };
}

/** Llama 1 to 3 (Touvron et al. 2023), SmolLM, and whatever shares their config. */
export const llama: Family = {
  architectures: ['LlamaForCausalLM'],
  modelType: 'llama',
  build: (config, initialize) => buildDecoder(readConfig(config), config, initialize),
  names: () => [...decoderNames, ...layerNames()],
  ggufNames: () => decoderGgufNames,
  toSparse(config, experts) {
    refuseFields(config, { attention_bias: false, mlp_bias: false });
    const { attention_bias: _, mlp_bias: __, pretraining_tp: ___, ...said } = config;
    const rest = spelledOut(said, { max_position_embeddings: 2048, rms_norm_eps: 1e-6 });
    return experts.sharedSize > 0
      ? sparseQwen2({ ...rest, qkv_bias: false }, experts)
      : sparseMixtral(rest, experts);
  },
};
