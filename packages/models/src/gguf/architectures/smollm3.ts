import type { ModelConfig } from '@frugal/tensor-core/nn';
import type { GgufArchitecture } from '../architecture.js';
import { refuseConfig, requireSetting } from '../refusal.js';
import { readGgufRope, writeGgufRope } from '../rope.js';
import { headSizeOf, readDecoderConfig, requireSilu, writeDecoderConfig } from '../shared-config.js';

/** SmolLM3: a Llama of which every fourth layer knows no positions; queries and keys are reordered in all of them. */
export const smolLm3: GgufArchitecture = {
  name: 'smollm3',
  writes: ['SmolLM3ForCausalLM'],
  readConfig({ reader, entries, ropeFactors }) {
    const shared = readDecoderConfig(reader, entries);
    return {
      architectures: ['SmolLM3ForCausalLM'],
      model_type: 'smollm3',
      hidden_act: 'silu',
      ...shared,
      no_rope_layer_interval: EVERY,
      no_rope_layers: positions(shared),
      use_sliding_window: false,
      ...readGgufRope(reader, shared, ropeFactors),
    };
  },
  writeConfig(config) {
    requireSilu(config);
    requireSetting(config, 'attention_bias', [false]);
    requireSetting(config, 'mlp_bias', [false]);
    requireSetting(config, 'use_sliding_window', [false]);
    const layers = config.no_rope_layers as number[] | null | undefined;
    if (!layers) requireSetting(config, 'no_rope_layer_interval', [EVERY]);
    else if (positions(config).some((flag, i) => flag !== Number(layers[i] !== 0)))
      refuseConfig(
        `GGUF's smollm3 leaves out positions in every ${EVERY}th layer`,
        `no_rope_layers ${layers}`,
        String(positions(config)),
      );
    const complete = { num_key_value_heads: 4, max_position_embeddings: 32768, rope_theta: 2e6, ...config };
    return { ...writeDecoderConfig(complete), ...writeGgufRope(complete) };
  },
  rowOrder: (path, config) =>
    /\.attention\.(query|key)$/.test(path) ? { headSize: headSizeOf(config) } : null,
};

const EVERY = 4;

/** `no_rope_layers`: 1 for layers that know positions. */
function positions({ num_hidden_layers: layers }: ModelConfig): number[] {
  return Array.from({ length: layers as number }, (_, i) => Number((i + 1) % EVERY !== 0));
}
