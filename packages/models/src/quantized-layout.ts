import { ArgumentError, PackedTensor } from '@frugal/tensor-core';
import { isLinearLike, type ModelConfig, type Module, PackedEmbedding, PackedLinear } from '@frugal/tensor-core/nn';

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

/** config.json's `quantization_config` for a model with packed int8 layers; `ignore` names the dense linear layers. */
export function quantizationConfig(packed: readonly PackedLinear[], ignore: readonly string[]): ModelConfig | undefined {
  if (packed.length === 0) return undefined;
  const activation = packed.some((layer) => layer.activation === 'int8');
  return {
    quant_method: 'compressed-tensors',
    format: 'int-quantized',
    quantization_status: 'compressed',
    global_compression_ratio: null,
    kv_cache_scheme: null,
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights: { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel', dynamic: false },
        input_activations: activation
          ? { num_bits: 8, type: 'int', symmetric: true, strategy: 'token', dynamic: true }
          : null,
      },
    },
    ignore: [...ignore],
  };
}

/** Whether a config asks for int8 activations. @throws ArgumentError for quantisations that are not read here */
export function readQuantization(config: ModelConfig): { readonly format: string; readonly activation: 'int8' | null } | null {
  const quantization = config.quantization_config as
    | { quant_method?: string; format?: string; config_groups?: Record<string, { input_activations?: object | null }> }
    | undefined;
  if (!quantization) return null;
  const { quant_method, format, config_groups = {} } = quantization;
  if (quant_method !== 'compressed-tensors' || format !== 'int-quantized') {
    throw new ArgumentError({
      where: 'config.json: quantization_config',
      what: 'this quantisation cannot be read',
      got: `${quant_method} ${format ?? ''}`.trim(),
      expected: 'compressed-tensors int-quantized',
    });
  }
  const [group] = Object.values(config_groups);
  return { format: 'int8-channel', activation: group?.input_activations ? 'int8' : null };
}

/** Builds the packed matrix of a module from what `read` finds in the file. */
export async function readPacked(
  format: string,
  shape: readonly [number, number],
  read: (suffix: string, part: StoredPart) => Promise<Uint8Array>,
): Promise<PackedTensor> {
  const arrays = [];
  for (const part of layoutOf(format).parts(...shape)) {
    const bytes = await read(part.suffix, part);
    arrays.push(
      part.dtype === 'I8'
        ? new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        : new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4),
    );
  }
  return PackedTensor.fromParts(format, shape, arrays);
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
