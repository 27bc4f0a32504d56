import { ArgumentError, type PackedTensor } from '@frugal/tensor-core';
import {
  type ActivationFormat,
  isLinearLike,
  type ModelConfig,
  type Module,
  PackedEmbedding,
  PackedLinear,
} from '@frugal/tensor-core/nn';

/** One stored tensor of a packed matrix: suffix after the module's name, and how the file sees it. */
interface StoredPart {
  readonly suffix: string;
  readonly dtype: 'I8' | 'F32';
  readonly shape: readonly number[];
}

/**
 * How a packed format lies in a safetensors file, and what config.json says of it, so that other tools read it too:
 * int8 per channel is compressed-tensors' `int-quantized` (vLLM's W8A8).
 */
interface QuantizedLayout {
  readonly format: string;
  parts(rows: number, columns: number): readonly StoredPart[];
}

const int8Channel: QuantizedLayout = {
  format: 'int8-channel',
  parts: (rows, columns) => [
    { suffix: 'weight', dtype: 'I8', shape: [rows, columns] },
    { suffix: 'weight_scale', dtype: 'F32', shape: [rows, 1] },
  ],
};

const layouts: readonly QuantizedLayout[] = [int8Channel];

export function layoutOf(format: string): QuantizedLayout {
  const layout = layouts.find((candidate) => candidate.format === format);
  if (layout) return layout;
  throw new ArgumentError({
    where: 'saveModel',
    what: 'this packed format has no safetensors layout',
    got: format,
    expected: layouts.map((candidate) => candidate.format).join(', '),
  });
}

/** The packed matrix of a module, or null for dense ones. */
export function packedWeight(module: Module): PackedTensor | null {
  return module instanceof PackedLinear || module instanceof PackedEmbedding ? module.weight : null;
}

/** config.json's `quantization_config` for a model with packed int8 layers, by their name in the file; `ignore` names the dense ones. */
export function quantizationConfig(
  packed: ReadonlyMap<string, PackedLinear>,
  ignore: readonly string[],
): ModelConfig | undefined {
  if (packed.size === 0) return undefined;
  const activations = [...new Set([...packed.values()].map(({ activation }) => activation))];
  const groups = activations.map((activation, i) => {
    const names = [...packed].filter(([, layer]) => layer.activation === activation).map(([name]) => name);
    return [`group_${i}`, groupOf(activation, activations.length === 1 ? ['Linear'] : names)];
  });
  return {
    ...fixed,
    quantization_status: 'compressed',
    global_compression_ratio: null,
    config_groups: Object.fromEntries(groups),
    ignore: [...ignore],
  };
}

/** What all our files say. */
const fixed = { quant_method: 'compressed-tensors', format: 'int-quantized', kv_cache_scheme: null };

interface Group {
  readonly targets: readonly string[];
  readonly weights: object;
  readonly input_activations: object | null;
}

function groupOf(activation: ActivationFormat | null, targets: readonly string[]): Group {
  return {
    targets,
    weights: { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel', dynamic: false },
    input_activations: activation && {
      num_bits: 8,
      type: 'int',
      symmetric: true,
      strategy: 'token',
      dynamic: true,
    },
  };
}

/** Linear layers by path, dense ones for `ignore`. */
export function linearLayers(model: Module): { packed: Map<string, PackedLinear>; dense: string[] } {
  const packed = new Map<string, PackedLinear>();
  const dense: string[] = [];
  for (const [path, module] of model.namedModules()) {
    if (module instanceof PackedLinear) packed.set(path, module);
    else if (isLinearLike(module)) dense.push(path);
  }
  return { packed, dense };
}
