import { nf4Values, type PartArray } from '@frugal/tensor-core/formats';
import type { TensorInput } from '../tensor-input.js';
import { NF4_BLOCK, NF4_NESTED_BLOCK, NF4_STATE } from './bitsandbytes.js';
import { bytesOf, type PackedMatrix, valuesOf, type WritableLayout } from './quantized-matrix.js';

/** bitsandbytes' NF4, with absmaxes that are f32 (`nf4-plain`) or quantised themselves (`nf4`). */
export const bitsandbytesWriter: WritableLayout = {
  refusal({ format, activation, isEmbedding }) {
    if (format !== 'nf4' && format !== 'nf4-plain') return 'bitsandbytes has nothing like it';
    if (isEmbedding) return 'bitsandbytes has no packed embeddings';
    return activation === 'none' ? null : 'bitsandbytes keeps activations before NF4';
  },

  tensors(matrix) {
    const {
      modules: [base],
      parts,
      format,
    } = matrix;
    const nested = format === 'nf4';
    const part = (
      suffix: string,
      dtype: 'U8' | 'F32',
      from: number,
      shape = parts[from].shape,
    ): TensorInput => ({
      name: `${base}.weight${suffix}`,
      dtype,
      shape,
      bytes: parts[from].bytes,
    });
    return [
      part('', 'U8', 0, [parts[0].shape[0], 1]),
      part('.absmax', nested ? 'U8' : 'F32', 1),
      { name: `${base}.weight.quant_map`, dtype: 'F32', shape: [16], bytes: () => bytesOf(nf4Values) },
      ...(nested ? [part('.nested_absmax', 'F32', 2)] : []),
      ...(nested ? [part('.nested_quant_map', 'F32', 3)] : []),
      stateTensor(matrix),
    ];
  },

  settings: (matrices, dense) => ({
    quant_method: 'bitsandbytes',
    load_in_4bit: true,
    load_in_8bit: false,
    bnb_4bit_quant_type: 'nf4',
    bnb_4bit_use_double_quant: matrices.some(({ format }) => format === 'nf4'),
    bnb_4bit_compute_dtype: 'float32',
    bnb_4bit_quant_storage: 'uint8',
    llm_int8_skip_modules: [...dense],
  }),
};

/** Room for any f32 as decimal digits: the size of a tensor is needed before its values. */
const STATE_PADDING = 26;

/** What the values alone do not say, as JSON in bytes. */
function stateTensor({ modules: [base], shape, format, parts }: PackedMatrix): TensorInput {
  const state = { quant_type: 'nf4', blocksize: NF4_BLOCK, dtype: 'float32', shape };
  const text = (offset?: PartArray) => {
    const nested = {
      nested_blocksize: NF4_NESTED_BLOCK,
      nested_dtype: 'float32',
      nested_offset: offset?.[0],
    };
    return JSON.stringify(offset ? { ...state, ...nested } : state);
  };
  const isNested = format === 'nf4';
  const size = text(isNested ? Float32Array.of(0) : undefined).length + (isNested ? STATE_PADDING : 0);
  return {
    name: `${base}.${NF4_STATE}`,
    dtype: 'U8',
    shape: [size],
    bytes: async () =>
      new TextEncoder().encode(text(isNested ? await valuesOf(parts[4]) : undefined).padEnd(size)),
  };
}
