import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader } from '../config-reader.js';
import { denseShape, readStandard } from '../decoder-config.js';
import type { DecoderShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family } from './family.js';
import { decoderGgufNames } from './gguf-names.js';
import { decoderNames, layerNames } from './hugging-face-names.js';
import { sparseMixtral, spelledOut } from './sparse-configs.js';

function readConfig(json: ModelConfig): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config, { keyHeads: 8, contextLength: 4096 * 32 });
  // All layers slide. A config with layer_types is another architecture (Ministral), and is refused.
  const window = config.integerOrNull('sliding_window', 4096) ?? undefined;
  const { rotary, contextLength } = readRope(config, standard.headSize, standard);
  config.finish();
  const { heads, keyHeads, headSize } = standard;
  return {
    ...standard,
    contextLength,
    blocks: Array.from({ length: standard.layers }, () => ({
      attention: {
        kind: 'heads',
        heads,
        keyHeads,
        headSize,
        bias: { input: false, output: false },
        rotary,
        window,
      },
      mlp: denseShape(standard),
    })),
  };
}

/** Mistral 7B and its successors (Jiang et al. 2023, arXiv:2310.06825): a Llama whose attention slides. */
export const mistral: Family = {
  architectures: ['MistralForCausalLM'],
  modelType: 'mistral',
  build: (config, initialize) => buildDecoder(readConfig(config), config, initialize),
  names: () => [...decoderNames, ...layerNames()],
  ggufNames: () => decoderGgufNames,
  toSparse(config, experts) {
    const window = config.sliding_window === undefined ? 4096 : config.sliding_window;
    const unsaid = { num_key_value_heads: 8, max_position_embeddings: 4096 * 32, rms_norm_eps: 1e-6 };
    return sparseMixtral({ ...spelledOut(config, unsaid), sliding_window: window }, experts);
  },
};
