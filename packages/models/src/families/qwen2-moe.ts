import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader } from '../config-reader.js';
import {
  denseShape,
  readLayerTypes,
  readStandard,
  routable,
  type StandardConfig,
  windowsOf,
} from '../decoder-config.js';
import type { DecoderShape, MixtureShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family } from './family.js';
import { decoderNames, expertNames, gatedNames, layerNames } from './hugging-face-names.js';
import { readSparseLayers } from './qwen3-moe.js';

function readConfig(json: ModelConfig): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config, { keyHeads: 16, contextLength: 32768 });
  const bias = config.boolean('qkv_bias', true);
  const { rotary, contextLength } = readRope(config, standard.headSize, standard);
  const mixture = routable(readMixture(config, standard), 'num_experts');
  const isSparse = readSparseLayers(config);
  const windows = readWindows(config, standard.layers);
  config.finish();
  const { heads, keyHeads, headSize } = standard;
  return {
    ...standard,
    contextLength,
    blocks: windows.map((window, i) => ({
      attention: {
        kind: 'heads',
        heads,
        keyHeads,
        headSize,
        bias: { input: bias, output: false },
        rotary,
        window,
      },
      mlp: isSparse(i) ? mixture : denseShape(standard),
    })),
  };
}

/** Every other layer below `max_window_layers` slides, where sliding is used at all. */
function readWindows(config: ConfigReader, layers: number): (number | undefined)[] {
  const size = config.countOrNull('sliding_window', 4096); // transformers writes 0 where it is not used
  const window = config.boolean('use_sliding_window', false) ? size || null : null;
  const first = config.count('max_window_layers', 28);
  const types = readLayerTypes(config, layers, (layer) =>
    window !== null && layer % 2 === 0 && layer < first ? 'sliding_attention' : 'full_attention',
  );
  return windowsOf(types, window);
}

function readMixture(config: ConfigReader, { activation }: StandardConfig): MixtureShape {
  config.ignore('output_router_logits');
  return {
    kind: 'mixture',
    experts: config.integer('num_experts', 60),
    size: config.integer('moe_intermediate_size', 1408),
    sharedSize: config.integer('shared_expert_intermediate_size', 5632),
    sharedGate: true,
    activation,
    selectionBias: false,
    routing: {
      chosen: config.integer('num_experts_per_tok', 4),
      gate: 'softmax',
      normalize: config.boolean('norm_topk_prob', false),
    },
    balance: { switchLoss: config.number('router_aux_loss_coef', 0.001) },
  };
}

/** Qwen2-MoE (Qwen1.5-MoE-A2.7B and Qwen2-57B-A14B, arXiv:2407.10671): small experts and a shared one behind a gate. */
export const qwen2Moe: Family = {
  architectures: ['Qwen2MoeForCausalLM'],
  modelType: 'qwen2_moe',
  build: (config, initialize) => buildDecoder(readConfig(config), config, initialize),
  names: () => [
    ...decoderNames,
    ...expertNames('blocks.*.mlp', 'model.layers.*.mlp'),
    ...gatedNames('blocks.*.mlp.shared', 'model.layers.*.mlp.shared_expert'),
    ['blocks.*.mlp.sharedGate', 'model.layers.*.mlp.shared_expert_gate'],
    ...layerNames(),
  ],
};
