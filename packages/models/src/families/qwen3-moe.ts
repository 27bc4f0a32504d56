import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader } from '../config-reader.js';
import { denseShape, readStandard, routable, type StandardConfig } from '../decoder-config.js';
import type { DecoderShape, MixtureShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family } from './family.js';
import { decoderGgufNames, expertGgufNames } from './gguf-names.js';
import { decoderNames, expertNames, layerNames } from './hugging-face-names.js';

function readConfig(json: ModelConfig): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config, { keyHeads: 4, contextLength: 32768 });
  const size = config.integerOrNull('sliding_window', 4096);
  const window = config.boolean('use_sliding_window', false) ? (size ?? undefined) : undefined;
  config.ignore('max_window_layers'); // not used by this family
  const bias = config.boolean('attention_bias', false);
  const { rotary, contextLength } = readRope(config, standard.headSize, standard);
  const mixture = routable(readMixture(config, standard), mixtureField(config));
  const isSparse = readSparseLayers(config);
  config.finish();
  const { heads, keyHeads, headSize } = standard;
  return {
    ...standard,
    contextLength,
    configNames: { experts: mixtureField(config) },
    blocks: Array.from({ length: standard.layers }, (_, i) => ({
      attention: {
        kind: 'heads',
        heads,
        keyHeads,
        headSize,
        bias: { input: bias, output: bias },
        rotary,
        window,
        headNorms: true,
      },
      mlp: isSparse(i) ? mixture : denseShape(standard),
    })),
  };
}

/** Newer configs call the number of experts as Mixtral does. */
function mixtureField(config: ConfigReader): string {
  return config.has('num_local_experts') ? 'num_local_experts' : 'num_experts';
}

function readMixture(config: ConfigReader, { activation }: StandardConfig): MixtureShape {
  config.ignore('output_router_logits');
  return {
    kind: 'mixture',
    experts: config.integer(mixtureField(config), 128),
    size: config.integer('moe_intermediate_size', 768),
    sharedSize: 0,
    activation,
    selectionBias: false,
    routing: {
      chosen: config.integer('num_experts_per_tok', 8),
      gate: 'softmax',
      normalize: config.boolean('norm_topk_prob', false),
    },
    balance: { switchLoss: config.number('router_aux_loss_coef', 0.001) },
  };
}

/** Every `decoder_sparse_step`-th layer has experts, but for those that are listed as dense. */
export function readSparseLayers(config: ConfigReader): (layer: number) => boolean {
  const step = config.integer('decoder_sparse_step', 1);
  const dense = new Set(config.integers('mlp_only_layers') ?? []);
  return (layer) => (layer + 1) % step === 0 && !dense.has(layer);
}

/** Qwen3-MoE (Yang et al. 2025, arXiv:2505.09388): many small experts, none shared. */
export const qwen3Moe: Family = {
  architectures: ['Qwen3MoeForCausalLM'],
  modelType: 'qwen3_moe',
  build: (config, initialize) => buildDecoder(readConfig(config), config, initialize),
  names: () => [...decoderNames, ...expertNames('blocks.*.mlp', 'model.layers.*.mlp'), ...layerNames()],
  ggufNames: () => [...expertGgufNames, ...decoderGgufNames],
};
