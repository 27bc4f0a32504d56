import type { PackedActivation } from '@frugal/tensor-core/formats';
import { schemeFor } from './compressed-schemes.js';
import { ACTIVATIONS } from './compressed-tensors.js';
import { groupedBy, type PackedMatrix, type Settings, type WritableLayout } from './quantized-matrix.js';

/**
 * compressed-tensors as llm-compressor writes it, and vLLM and transformers read it: one group of `config_groups` for each
 * packed format and quantisation of activations.
 */
export const compressedTensorsWriter: WritableLayout = {
  refusal(matrix) {
    const scheme = schemeFor(matrix.format);
    return scheme ? scheme.refusal(matrix) : 'compressed-tensors has nothing like it';
  },

  /** transformers ties the codes of a head to those of its embedding, and wants scales for each. */
  tensors(matrix) {
    const [base, ...tied] = matrix.modules;
    const tensors = storageOf(matrix).tensors(matrix);
    const scale = tensors.find(({ name }) => name === `${base}.weight_scale`);
    return [
      ...tensors,
      ...tied.flatMap((name) => (scale ? [{ ...scale, name: `${name}.weight_scale` }] : [])),
    ];
  },

  settings(matrices, dense) {
    const groups = groupedBy(
      matrices,
      ({ format, activation, isEmbedding }) => `${format} ${activation} ${isEmbedding}`,
    ).map((members, i) => ({ name: `group_${i}`, members, storage: storageOf(members[0]) }));
    const formats = new Set(groups.map(({ storage }) => storage.format));
    const notes = groups.flatMap(({ name, members: [{ format, activation }] }) =>
      activation === readActivation(format, activation) ? [] : [[name, activation]],
    );
    return {
      quant_method: 'compressed-tensors',
      format: formats.size === 1 ? groups[0].storage.format : 'mixed-precision',
      quantization_status: 'compressed',
      global_compression_ratio: null,
      kv_cache_scheme: null,
      config_groups: Object.fromEntries(
        groups.map(({ name, members, storage }) => [
          name,
          {
            targets:
              groups.length === 1 && !members[0].isEmbedding
                ? ['Linear']
                : members.flatMap(({ modules }) => modules),
            weights: storage.weights,
            input_activations: inputActivations(members[0].activation),
            output_activations: null,
            format: storage.format,
          },
        ]),
      ),
      ignore: [...dense],
      ...(notes.length > 0 && { [ACTIVATIONS]: Object.fromEntries(notes) }),
    };
  },
};

function storageOf(matrix: PackedMatrix) {
  const scheme = schemeFor(matrix.format);
  if (!scheme) throw new RangeError(`compressed-tensors has no ${matrix.format}`);
  return scheme.storage(matrix);
}

/** Dynamic, per token: what vLLM calls W8A8, or W4A8. */
function inputActivations(activation: PackedActivation): Settings | null {
  if (activation !== 'int8') return null;
  return { num_bits: 8, type: 'int', symmetric: true, strategy: 'token', dynamic: true };
}

/** What a reader makes of `input_activations` without a note of ours. */
function readActivation(format: string, activation: PackedActivation): PackedActivation {
  return inputActivations(activation) ? 'int8' : (schemeFor(format)?.suited ?? 'none');
}
