import { skeleton } from '@frugal/models';
import { type Backend, noGrad, ones, PackedTensor, Random, scope, withBackend } from '@frugal/tensor-core';
import type { PartArray } from '@frugal/tensor-core/formats';
import { packedFormat, recommendedActivation } from '@frugal/tensor-core/formats';
import { type CausalLM, isLinearLike, type ModelConfig, PackedLinear } from '@frugal/tensor-core/nn';

const BLOCKS = 'int4-g32';
const HEAD = 'int8-channel';

/** `gate`, `query` and so on: what a layer and an expert have one of. */
const roleOf = (path: string): string => path.replaceAll(/blocks\.\d+|sites\.\d+/g, '');

/**
 * A model of random weights that are packed from the start, so that billions of them need no more memory than they have in the
 * end: blocks in 4 bits with activations in 8, the head in 8 bits, as the presets have it. Matrices of one role have the same
 * numbers, each in memory of its own. Embeddings are so large beside what layers add that tokens choose experts evenly, the worst
 * case of a batch.
 */
export async function packedModel(config: ModelConfig, backend: Backend): Promise<CausalLM> {
  const model = skeleton(config);
  const random = new Random(1);
  const made = new Map<string, readonly PartArray[]>();
  const partsOf = async (role: string, format: string, rows: number, columns: number) => {
    const key = `${role} ${format} ${rows} ${columns}`;
    if (!made.has(key)) {
      const normal = withBackend(backend, () =>
        scope(() => random.normal([rows, columns]).mul(columns ** -0.5)),
      );
      const values = await normal.toFloat32();
      normal.dispose();
      made.set(key, packedFormat(format).pack(values, rows, columns, {}));
    }
    return made.get(key) as readonly PartArray[];
  };
  for (const [path, module] of [...model.namedModules()]) {
    if (!isLinearLike(module)) continue;
    const shape = [module.outFeatures, module.inFeatures] as const;
    const format = path === 'head' ? HEAD : BLOCKS;
    const weight = PackedTensor.fromParts(
      format,
      shape,
      await partsOf(roleOf(path), format, ...shape),
      backend,
    ).prepare();
    const activation = path === 'head' ? null : recommendedActivation(format);
    model.replace(path, new PackedLinear(weight, { activation: activation === 'none' ? null : activation }));
  }
  noGrad(() =>
    withBackend(backend, () => {
      for (const [path, parameter] of [...model.namedParameters()]) {
        const { shape } = parameter;
        const scale = path.startsWith('embed') ? 1 : (shape.at(-1) as number) ** -0.5;
        parameter.value = shape.length === 1 ? ones(shape) : scope(() => random.normal(shape).mul(scale));
      }
    }),
  );
  return model;
}
