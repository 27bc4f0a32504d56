import { anyLength, type PackedActivation, packedFormat } from '@frugal/tensor-core/formats';
import { CheckpointFormatError } from '../errors.js';
import { typedArrayOf } from '../numeric/convert.js';
import type { TensorInput } from '../tensor-input.js';
import type { TensorSource } from '../tensor-source.js';
import { indexProblem } from './part-indices.js';
import {
  groupedBy,
  ModuleTensors,
  partDTypes,
  type QuantizedLayout,
  type QuantizedMatrix,
  type Settings,
  type WritableLayout,
} from './quantized-matrix.js';
import { SettingsReader } from './settings.js';

interface Group {
  readonly format: string;
  readonly activation: PackedActivation;
  readonly modules: readonly string[];
}

/**
 * Our own way, for formats that no other layout has: `quant_method: "frugal"`, and `groups` that each name a packed format
 * (see `@frugal/tensor-core/formats`), its parts, how activations are quantised, and the modules. The first part is
 * `MODULE.weight`, the others `MODULE.weight.PART`, byte for byte. The first is a list without rows, whatever it holds: a
 * tool that knows nothing of this then stops at a weight of the wrong shape, instead of taking codes for numbers.
 */
export const frugal: QuantizedLayout & WritableLayout = {
  open(settings, source) {
    new SettingsReader(settings).integer('version', [1]);
    const groups = (Array.isArray(settings.groups) ? settings.groups : []) as readonly Group[];
    const groupOf = new Map(groups.flatMap((group) => group.modules.map((base) => [base, group])));
    return (base, shape) => {
      const group = groupOf.get(base);
      return group ? matrixOf(base, shape, group, source) : null;
    };
  },

  refusal: () => null,

  tensors: ({ modules: [base], parts }) =>
    parts.map(
      ({ name, dtype, shape, bytes }, i): TensorInput => ({
        name: tensorName(base, name, i),
        dtype: partDTypes[dtype],
        shape: i === 0 ? [shape.reduce((a, b) => a * b, 1)] : shape,
        bytes,
      }),
    ),

  settings: (matrices): Settings => ({
    quant_method: 'frugal',
    version: 1,
    groups: groupedBy(matrices, ({ format, activation }) => `${format} ${activation}`).map((members) => ({
      format: members[0].format,
      parts: members[0].parts.map(({ name }) => name),
      activation: members[0].activation,
      modules: members.map(({ modules: [base] }) => base),
    })),
  }),
};

const tensorName = (base: string, part: string, index: number): string =>
  index === 0 ? `${base}.weight` : `${base}.weight.${part}`;

function matrixOf(
  base: string,
  shape: readonly [number, number],
  { format, activation }: Group,
  source: TensorSource,
): QuantizedMatrix {
  const tensors = new ModuleTensors(source, base);
  const suffix = (name: string, i: number) => tensorName('', name, i).slice(1);
  const parts = packedFormat(format).parts(...shape);
  for (const [i, part] of parts.entries()) {
    const isOpen = part.shape.includes(anyLength);
    const flat = [isOpen ? -1 : part.shape.reduce((a, b) => a * b, 1)];
    tensors.expect(suffix(part.name, i), [partDTypes[part.dtype]], i === 0 ? flat : part.shape);
  }
  return {
    format,
    shape,
    tensors: tensors.names,
    activation,
    problems: tensors.problems,
    async read() {
      const arrays = await Promise.all(
        parts.map(async ({ name, dtype }, i) =>
          typedArrayOf(await tensors.bytes(suffix(name, i)), partDTypes[dtype]),
        ),
      );
      const problem = indexProblem(format, shape, arrays);
      if (problem === null) return arrays;
      throw new CheckpointFormatError({ file: base, what: `these are no parts of ${format}`, got: problem });
    },
  };
}
