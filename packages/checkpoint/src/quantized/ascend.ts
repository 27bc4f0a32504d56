import { CheckpointFormatError } from '../errors.js';
import { typedArrayOf } from '../numeric/convert.js';
import type { TensorSource } from '../tensor-source.js';
import {
  bytesOf,
  FLOATS,
  ModuleTensors,
  type QuantizedLayout,
  type QuantizedMatrix,
  type Settings,
  type WritableLayout,
} from './quantized-matrix.js';

/** Beside the weights: what each tensor is, by its name. */
export const ASCEND_DESCRIPTION = 'quant_model_description.json';
const METHOD = 'ascend';

/** Kinds of layers by how activations are quantised: per token, or not at all. */
const kinds = { int8: 'W8A8_DYNAMIC', none: 'W8A16' } as const;

/**
 * int8 weights as Huawei's ModelSlim writes them, and vLLM Ascend and SGLang read them: `weight` I8 [rows, columns],
 * `weight_scale` F32 and `weight_offset` F32 [rows, 1], the offset zero; and a description that names the kind of every
 * tensor, `FLOAT` for what is not quantised. It stands in `quantization_config` too, because vLLM looks there first.
 */
export const ascend: QuantizedLayout & WritableLayout = {
  open: (settings, source) => (base, shape) => {
    const kind = settings[`${base}.weight`];
    const activation = kind === kinds.int8 ? 'int8' : kind === kinds.none ? 'none' : undefined;
    if (activation) return matrixOf(base, shape, activation, source);
    if (kind === undefined || kind === 'FLOAT') return null;
    throw new CheckpointFormatError({
      file: ASCEND_DESCRIPTION,
      what: `this kind of layer cannot be read: ${base}`,
      got: String(kind),
      expected: `${Object.values(kinds).join(', ')}, FLOAT`,
    });
  },

  refusal({ format, activation, isEmbedding }) {
    if (format !== 'int8-channel') return "Ascend's W8A8 has int8 by channel alone";
    if (isEmbedding) return 'it has no packed embeddings';
    return Object.hasOwn(kinds, activation) ? null : `it has no activations as ${activation}`;
  },

  tensors: ({ modules: [base], shape, parts: [codes, scales] }) => [
    { name: `${base}.weight`, dtype: 'I8', shape, bytes: codes.bytes },
    { name: `${base}.weight_scale`, dtype: 'F32', shape: [shape[0], 1], bytes: scales.bytes },
    {
      name: `${base}.weight_offset`,
      dtype: 'F32',
      shape: [shape[0], 1],
      bytes: () => bytesOf(new Float32Array(shape[0])),
    },
  ],

  settings(matrices, _, denseTensors): Settings {
    const described = matrices.flatMap(({ modules: [base], activation }) =>
      ['weight', 'weight_scale', 'weight_offset'].map((suffix) => [
        `${base}.${suffix}`,
        kinds[activation as keyof typeof kinds],
      ]),
    );
    return {
      quant_method: METHOD,
      model_quant_type: kinds[matrices[0].activation as keyof typeof kinds],
      ...Object.fromEntries(denseTensors.map((name) => [name, 'FLOAT'])),
      ...Object.fromEntries(described),
    };
  },

  files: ({ quant_method: _, ...description }) => ({
    [ASCEND_DESCRIPTION]: JSON.stringify(description, null, 2),
  }),
};

/** The settings of a checkpoint that ModelSlim wrote, which has them in the description alone. */
export function ascendSettings(description: Settings): Settings {
  return { ...description, quant_method: METHOD };
}

function matrixOf(
  base: string,
  shape: readonly [number, number],
  activation: 'int8' | 'none',
  source: TensorSource,
): QuantizedMatrix {
  const tensors = new ModuleTensors(source, base);
  tensors.expect('weight', ['I8'], shape);
  tensors.expect('weight_scale', FLOATS, [shape[0], 1]);
  tensors.expect('weight_offset', FLOATS, [shape[0], 1]);
  return {
    format: 'int8-channel',
    shape,
    tensors: tensors.names,
    activation,
    problems: tensors.problems,
    async read() {
      const offsets = await tensors.floats('weight_offset');
      const odd = offsets.find((offset) => offset !== 0);
      if (odd !== undefined) {
        throw new CheckpointFormatError({
          file: base,
          what: 'weights with an offset cannot be read',
          got: String(odd),
        });
      }
      return [typedArrayOf(await tensors.bytes('weight'), 'I8'), await tensors.floats('weight_scale')];
    },
  };
}
