import { type Backend, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { Linear, type LinearLike, PackedLinear } from '@frugal/tensor-core/nn';

/** A layer's weight as it was, to be compared with what became of it. */
export interface LayerChange {
  /**
   * `weightError`: ‖W' - W‖² / ‖W‖². With the gram matrix of the layer's inputs also `outputError`: the same of the
   * outputs W x over the calibration rows, tr(D G Dᵀ) / tr(W G Wᵀ). Nothing when the layer has another shape now.
   */
  compare(layer: LinearLike, gram: Tensor | undefined): Promise<Readonly<Record<string, number>>>;
}

export async function keepWeight(layer: LinearLike): Promise<LayerChange> {
  const shape = [layer.outFeatures, layer.inFeatures];
  const before = await readWeight(layer);
  return {
    async compare(now, gram): Promise<Readonly<Record<string, number>>> {
      if (now.outFeatures !== shape[0] || now.inFeatures !== shape[1]) return {};
      const after = await readWeight(now);
      let [changed, all] = [0, 0];
      const difference = after.map((value, i) => value - before[i]);
      for (let i = 0; i < before.length; i++) {
        changed += difference[i] * difference[i];
        all += before[i] * before[i];
      }
      if (changed === 0) return {};
      const weightError = changed / all;
      if (!gram) return { weightError };
      const [moved, total] = [
        await squaredOutput(difference, shape, gram),
        await squaredOutput(before, shape, gram),
      ];
      return total > 0 ? { weightError, outputError: moved / total } : { weightError };
    },
  };
}

/** The matrix that a layer applies, row-major [outFeatures, inFeatures]. */
export async function readWeight(layer: LinearLike): Promise<Float32Array> {
  const weight = scope(() => noGrad(() => layer.effectiveWeight().contiguous()));
  const values = await weight.toFloat32();
  weight.dispose();
  return values;
}

/** Whether a layer is one plain matrix of floats, by itself or as a part of a stack: not packed, nothing around it. */
export function isDense(layer: LinearLike): boolean {
  return layer.base === layer && !(layer instanceof PackedLinear);
}

/** Where a layer's weight lies. */
export function backendOf(layer: LinearLike): Backend {
  const { base } = layer;
  if (base instanceof Linear) return base.weight.value.backend;
  return scope(() => noGrad(() => layer.effectiveWeight(0, 1).backend));
}

/** Σ ‖W x‖² over the calibration rows: tr(W G Wᵀ), for W row-major [rows, columns]. */
export async function squaredOutput(
  weight: Float32Array,
  shape: readonly number[],
  gram: Tensor,
): Promise<number> {
  const sum = scope(() =>
    noGrad(() => {
      const w = tensor(weight, { shape, backend: gram.backend });
      return w.matmul(gram).mul(w).sum();
    }),
  );
  const value = await sum.item();
  sum.dispose();
  return value;
}
