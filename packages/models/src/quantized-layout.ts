import type { PackedMatrix } from '@frugal/checkpoint';
import { type PackedTensor, releasePages } from '@frugal/tensor-core';
import { anyLength, packedFormat } from '@frugal/tensor-core/formats';
import { isLinearLike, type Module, PackedEmbedding, PackedLinear } from '@frugal/tensor-core/nn';

/** The packed matrices of a model, shared ones once, as a checkpoint stores them; `nameOf` gives names in the file. */
export function packedMatrices(model: Module, nameOf: (path: string) => string): PackedMatrix[] {
  const found = new Map<PackedTensor, PackedMatrix>();
  for (const [path, module] of model.namedModules()) {
    if (!(module instanceof PackedLinear || module instanceof PackedEmbedding)) continue;
    const { weight } = module;
    const activation = module instanceof PackedLinear ? (module.activation ?? 'none') : undefined;
    const known = found.get(weight);
    found.set(weight, {
      modules: known ? [...known.modules, nameOf(path)] : [nameOf(path)],
      isEmbedding: known?.isEmbedding || module instanceof PackedEmbedding,
      format: weight.format,
      shape: weight.shape,
      // An embedding looks rows up: only the head that shares its matrix multiplies.
      activation: activation ?? known?.activation ?? 'none',
      parts: known?.parts ?? partsOf(weight),
    });
  }
  return [...found.values()];
}

/** Linear layers that stay dense. */
export function denseLayers(model: Module): string[] {
  return [...model.namedModules()]
    .filter(([, module]) => isLinearLike(module) && !(module instanceof PackedLinear))
    .map(([path]) => path);
}

function partsOf(weight: PackedTensor): PackedMatrix['parts'] {
  const infos = packedFormat(weight.format).parts(...weight.shape);
  return infos.map(({ name, dtype, shape }, i) => ({
    name,
    dtype,
    shape: shape.includes(anyLength) ? shapeOfPart(weight, i) : shape,
    bytes: async () => {
      const standard = weight.standard();
      try {
        return await standard.parts[i].bytes();
      } finally {
        releasePages(standard.parts[i]);
        standard.dispose();
      }
    },
  }));
}

function shapeOfPart(weight: PackedTensor, index: number): readonly number[] {
  const standard = weight.standard();
  const { shape } = standard.parts[index];
  standard.dispose();
  return shape;
}
