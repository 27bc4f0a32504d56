import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader, ModelConfigError } from '../config-reader.js';
import { denseShape, readLayerTypes, readStandard, windowsOf } from '../decoder-config.js';
import type { DecoderShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family } from './family.js';
import { decoderGgufNames } from './gguf-names.js';
import { decoderNames, layerNames } from './hugging-face-names.js';

function readConfig(json: ModelConfig): DecoderShape {
  const config = new ConfigReader(json);
  const standard = readStandard(config, { keyHeads: 4, contextLength: 32768, tied: true });
  const bias = config.boolean('attention_bias', false);
  const mlpBias = config.boolean('mlp_bias', false);
  const rope = { contextLength: standard.contextLength, theta: 2e6 };
  const { rotary, contextLength } = readRope(config, standard.headSize, rope);
  const positions = readPositions(config, standard.layers);
  const size = config.integerOrNull('sliding_window', null);
  const window = config.boolean('use_sliding_window', false) ? size : null;
  const types = readLayerTypes(config, standard.layers, (layer) =>
    window !== null && !positions[layer] ? 'sliding_attention' : 'full_attention',
  );
  const windows = windowsOf(types, window);
  config.finish();
  const { heads, keyHeads, headSize } = standard;
  return {
    ...standard,
    contextLength,
    blocks: positions.map((hasPositions, i) => ({
      attention: {
        kind: 'heads',
        heads,
        keyHeads,
        headSize,
        bias: { input: bias, output: bias },
        rotary: hasPositions ? rotary : null,
        window: windows[i],
      },
      mlp: denseShape(standard, mlpBias),
    })),
  };
}

/** Which layers have rotary positions: `no_rope_layers` says 1 for those that do. */
function readPositions(config: ConfigReader, layers: number): boolean[] {
  const interval = config.integer('no_rope_layer_interval', 4);
  const flags = config.integers('no_rope_layers');
  if (!flags) return Array.from({ length: layers }, (_, i) => (i + 1) % interval !== 0);
  if (flags.length >= layers) return flags.slice(0, layers).map((flag) => flag !== 0);
  throw new ModelConfigError({
    where: 'config.json',
    what: 'no_rope_layers does not fit num_hidden_layers',
    got: `${flags.length} entries`,
    expected: `at least ${layers}`,
  });
}

/** SmolLM3: a Llama of which every fourth layer knows no positions (NoPE). */
export const smolLm3: Family = {
  architectures: ['SmolLM3ForCausalLM'],
  modelType: 'smollm3',
  build: (config, initialize) => buildDecoder(readConfig(config), config, initialize),
  names: () => [...decoderNames, ...layerNames()],
  ggufNames: () => decoderGgufNames,
};
