import type { TensorSource } from '../tensor-source.js';
import type { OpenMatrix } from './compressed-tensors.js';
import { FLOATS, ModuleTensors, type QuantizedLayout, type QuantizedMatrix } from './quantized-matrix.js';
import { SettingsReader } from './settings.js';

type Strategy = 'tensor' | 'channel' | 'block';

/** FP8 E4M3: `weight` F8_E4M3 [rows, columns], `weight_scale` for the tensor, each row, or blocks of 128 × 128. */
export const floatMatrix: OpenMatrix = (base, shape, { strategy }, source) =>
  fp8Matrix(base, shape, strategy as Strategy, { source, scale: 'weight_scale' });

/** FP8 as DeepSeek V3 and transformers (`quant_method: "fp8"`) store it: `weight_scale_inv` for blocks of 128 × 128. */
export const fineGrainedFp8: QuantizedLayout = {
  open(settings, source) {
    const reader = new SettingsReader(settings);
    if (String(settings.weight_block_size ?? [128, 128]) !== '128,128')
      reader.refuse('weight_block_size', '[128, 128]');
    return (base, shape) =>
      source.entries.has(`${base}.weight_scale_inv`)
        ? fp8Matrix(base, shape, 'block', { source, scale: 'weight_scale_inv' })
        : null;
  },
};

function fp8Matrix(
  base: string,
  shape: readonly [number, number],
  strategy: Strategy,
  { source, scale }: { readonly source: TensorSource; readonly scale: string },
): QuantizedMatrix {
  const [rows, columns] = shape;
  const tensors = new ModuleTensors(source, base);
  tensors.expect('weight', ['F8_E4M3'], shape);
  const shapes = {
    tensor: [1],
    channel: [rows, 1],
    block: [Math.ceil(rows / 128), Math.ceil(columns / 128)],
  };
  // A single scale may be written without an axis.
  const isScalar = strategy === 'tensor' && source.entries.get(`${base}.${scale}`)?.shape.length === 0;
  tensors.expect(scale, FLOATS, isScalar ? [] : shapes[strategy]);
  tensors.optional('input_scale');
  return {
    format: { tensor: 'fp8-tensor', channel: 'fp8-channel', block: 'fp8-block128' }[strategy],
    shape,
    tensors: tensors.names,
    activation: 'none',
    problems: tensors.problems,
    read: async () => [await tensors.bytes('weight'), await tensors.floats(scale)],
  };
}
