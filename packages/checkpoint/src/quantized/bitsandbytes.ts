import { parseJsonObject } from '../json/json.js';
import type { TensorSource } from '../tensor-source.js';
import { ModuleTensors, type QuantizedLayout, type QuantizedMatrix } from './quantized-matrix.js';

export const NF4_STATE = 'weight.quant_state.bitsandbytes__nf4';
export const NF4_BLOCK = 64;
export const NF4_NESTED_BLOCK = 256;

/**
 * bitsandbytes: NF4 with absmaxes as f32 or, nested, as 8-bit codes (`weight` U8, `weight.absmax`, `weight.quant_state…`
 * with JSON), and LLM.int8 (`weight` I8 [rows, columns], `SCB` F32 [rows]: value = code · SCB / 127). What the tool does
 * to activations at run time is left out: keeping them is more exact.
 */
export const bitsandbytes: QuantizedLayout = {
  open(_, source) {
    return (base, shape) => {
      const has = (suffix: string) => source.entries.has(`${base}.${suffix}`);
      if (has('SCB')) return int8Matrix(base, shape, source);
      return has('weight.absmax') ? nf4Matrix(base, shape, source) : null;
    };
  },
};

function int8Matrix(base: string, shape: readonly [number, number], source: TensorSource): QuantizedMatrix {
  const tensors = new ModuleTensors(source, base);
  tensors.expect('weight', ['I8'], shape);
  tensors.expect('SCB', ['F32'], [shape[0]]);
  tensors.optional('weight_format');
  return {
    format: 'int8-channel',
    shape,
    tensors: tensors.names,
    activation: 'none',
    problems: tensors.problems,
    async read() {
      const codes = await tensors.bytes('weight');
      const scales = (await tensors.floats('SCB')).map((largest) => largest / 127);
      return [new Int8Array(codes.buffer), scales];
    },
  };
}

function nf4Matrix(base: string, shape: readonly [number, number], source: TensorSource): QuantizedMatrix {
  const tensors = new ModuleTensors(source, base);
  const values = shape[0] * shape[1];
  const blocks = Math.ceil(values / NF4_BLOCK);
  const nested = tensors.has('weight.nested_absmax');
  tensors.expect('weight', ['U8'], [Math.ceil(values / 2), 1]);
  tensors.expect('weight.absmax', [nested ? 'U8' : 'F32'], [blocks]);
  tensors.optional('weight.quant_map');
  if (nested) {
    tensors.expect('weight.nested_absmax', ['F32'], [Math.ceil(blocks / NF4_NESTED_BLOCK)]);
    tensors.expect('weight.nested_quant_map', ['F32'], [256]);
  }
  if (tensors.has('weight.quant_state.bitsandbytes__fp4'))
    tensors.refuse('the format fp4 cannot be read, only nf4');
  else tensors.expect(NF4_STATE, ['U8'], [-1]);
  return {
    format: nested ? 'nf4' : 'nf4-plain',
    shape,
    tensors: tensors.names,
    activation: 'none',
    problems: tensors.problems,
    async read() {
      const state = parseJsonObject(await tensors.bytes(NF4_STATE), `${base}.${NF4_STATE}`);
      const expected = {
        quant_type: 'nf4',
        blocksize: NF4_BLOCK,
        ...(nested && { nested_blocksize: NF4_NESTED_BLOCK }),
      };
      for (const [name, value] of Object.entries(expected))
        if (state[name] !== value)
          throw new RangeError(`${base}: ${name} is ${String(state[name])}, not ${value}`);
      const codes = await tensors.bytes('weight');
      if (!nested) return [codes, await tensors.floats('weight.absmax')];
      return [
        codes,
        await tensors.bytes('weight.absmax'),
        await tensors.floats('weight.nested_absmax'),
        await tensors.floats('weight.nested_quant_map'),
        Float32Array.of(Number(state.nested_offset)),
      ];
    },
  };
}
