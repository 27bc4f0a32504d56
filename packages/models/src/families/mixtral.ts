import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader } from '../config-reader.js';
import { readStandard, routable } from '../decoder-config.js';
import type { DecoderShape, MixtureShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family, NameMap } from './family.js';
import { decoderGgufNames, expertGgufNames } from './gguf-names.js';
import { attentionNames, decoderNames } from './hugging-face-names.js';

function readConfig(json: ModelConfig): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config, { keyHeads: 8, contextLength: 4096 * 32, epsilon: 1e-5 });
  const window = config.integerOrNull('sliding_window', null) ?? undefined;
  const rope = { contextLength: standard.contextLength, theta: 1e6 };
  const { rotary, contextLength } = readRope(config, standard.headSize, rope);
  // Noise on the input of the router, in training alone.
  config.only('router_jitter_noise', 0);
  config.ignore('output_router_logits');
  const expertField = config.has('num_experts') ? 'num_experts' : 'num_local_experts';
  const mixture: MixtureShape = {
    kind: 'mixture',
    experts: config.integer(expertField, 8),
    size: standard.feedForwardSize,
    sharedSize: 0,
    activation: standard.activation,
    selectionBias: false,
    routing: { chosen: config.integer('num_experts_per_tok', 2), gate: 'softmax', normalize: true },
    balance: { switchLoss: config.number('router_aux_loss_coef', 0.001) },
  };
  const mlp = routable(mixture, expertField);
  config.finish();
  const { heads, keyHeads, headSize } = standard;
  return {
    ...standard,
    contextLength,
    configNames: { experts: 'num_local_experts', expertSize: 'intermediate_size' },
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
      mlp,
    })),
  };
}

const names: NameMap = [
  ...decoderNames,
  ['blocks.*.attentionNorm', 'model.layers.*.input_layernorm'],
  ['blocks.*.mlpNorm', 'model.layers.*.post_attention_layernorm'],
  ...attentionNames(),
  ['blocks.*.mlp.router', 'model.layers.*.block_sparse_moe.gate'],
  ['blocks.*.mlp.experts.gate.sites.*', 'model.layers.*.block_sparse_moe.experts.*.w1'],
  ['blocks.*.mlp.experts.up.sites.*', 'model.layers.*.block_sparse_moe.experts.*.w3'],
  ['blocks.*.mlp.experts.down.sites.*', 'model.layers.*.block_sparse_moe.experts.*.w2'],
];

/** Mixtral (Jiang et al. 2024, arXiv:2401.04088): few large experts. */
export const mixtral: Family = {
  architectures: ['MixtralForCausalLM'],
  modelType: 'mixtral',
  build: (config, initialize) => buildDecoder(readConfig(config), config, initialize),
  names: () => names,
  ggufNames: () => [...expertGgufNames, ...decoderGgufNames],
};
