import {
  type Backend,
  concat,
  keep,
  NonFiniteError,
  noGrad,
  releasePages,
  scope,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { firstNotFinite } from '@frugal/tensor-core/formats';
import { Linear, type LinearLike, PackedLinear } from '@frugal/tensor-core/nn';
import type { Edit } from './edit.js';
import { RecipeError } from './errors.js';
import type { LinearSite } from './site.js';

/** Rows that are compared at once: of a large matrix no second copy in floats is made. */
const TILE_ROWS = 2048;

/** A layer's weight as it was, to be compared with what became of it. */
export interface LayerChange extends Disposable {
  /**
   * `weightError`: ‖W' - W‖² / ‖W‖². With the gram matrix of the layer's inputs also `outputError`: the same of the
   * outputs W x over the calibration rows, tr(D G Dᵀ) / tr(W G Wᵀ). Nothing when the layer has another shape now.
   */
  compare(layer: LinearLike, gram: Tensor | undefined): Promise<Readonly<Record<string, number>>>;
}

/** Keeps the weight of a layer from being freed; what is packed is unpacked for it. */
export function keepWeight(layer: LinearLike): LayerChange {
  const [rows, columns] = [layer.outFeatures, layer.inFeatures];
  const plain = layer instanceof Linear ? layer.weight.value : null;
  const before = keep(scope(() => noGrad(() => (plain ?? layer.effectiveWeight()).detach())));
  return {
    async compare(now, gram): Promise<Readonly<Record<string, number>>> {
      if (now.outFeatures !== rows || now.inFeatures !== columns) return {};
      const sums = [0, 0, 0, 0];
      for (let row = 0; row < rows; row += TILE_ROWS) {
        const end = Math.min(rows, row + TILE_ROWS);
        const tile = scope(() =>
          noGrad(() => tileSums(before.slice(0, row, end), now.effectiveWeight(row, end - row), gram)),
        );
        for (const [i, sum] of (await tile.toFloat32()).entries()) sums[i] += sum;
        tile.dispose();
        releasePages(before);
      }
      const [changed, all, moved, total] = sums;
      if (changed === 0) return {};
      const weightError = changed / all;
      return total > 0 ? { weightError, outputError: moved / total } : { weightError };
    },
    [Symbol.dispose]: () => before.dispose(),
  };
}

/** f32 [4]: ‖D‖², ‖W‖², and with a gram matrix tr(D G Dᵀ) and tr(W G Wᵀ), of some rows; D = after - before. */
function tileSums(before: Tensor, after: Tensor, gram: Tensor | undefined): Tensor {
  const weight = before.cast('f32');
  const difference = after.cast('f32').sub(weight);
  const squares = [difference, weight].map((x) => x.mul(x).sum());
  const outputs = gram ? [difference, weight].map((x) => x.matmul(gram).mul(x).sum()) : [];
  return concat(
    [...squares, ...outputs].map((sum) => sum.reshape(1)),
    0,
  );
}

/**
 * The matrix that a layer applies, or some rows of it, row-major [rowCount, inFeatures].
 * @param path of the layer, for the error
 * @throws NonFiniteError for infinities and NaN, which no method could tell from numbers once they are rounded or sorted
 */
export async function readWeight(
  layer: LinearLike,
  path: string,
  rowStart = 0,
  rowCount = layer.outFeatures - rowStart,
): Promise<Float32Array> {
  const weight = scope(() => noGrad(() => layer.effectiveWeight(rowStart, rowCount).contiguous()));
  const values = await weight.toFloat32();
  weight.dispose();
  if (layer instanceof Linear) releasePages(layer.weight.value);
  const bad = firstNotFinite(values);
  if (bad < 0) return values;
  throw new NonFiniteError({
    where: 'compress',
    what: `the weight of ${path} is not finite in row ${rowStart + Math.floor(bad / layer.inFeatures)}, column ${bad % layer.inFeatures}`,
    got: String(values[bad]),
    expected: 'finite weights',
    hint: 'The checkpoint is damaged or its training diverged: take an earlier one, or exclude the layer.',
  });
}

/** Whether a layer is one plain matrix of floats, by itself or as a part of a stack: not packed, nothing around it. */
export function isDense(layer: LinearLike): boolean {
  return layer.base === layer && !(layer instanceof PackedLinear);
}

/**
 * The layer of a site, which a method can only work on while it is dense.
 * @throws RecipeError otherwise: an earlier stage may have packed what `plan` still saw as dense
 */
export function denseLayer(where: string, { path, layer }: LinearSite): LinearLike {
  if (isDense(layer)) return layer;
  throw new RecipeError({
    where,
    what: 'the layer is no longer dense',
    got: path,
    hint: 'Exclude it, or leave out the stage that packed it.',
  });
}

/** Other values for a dense layer; one that shares a stack with others gets a matrix of its own. */
export function weightEdit({ path, layer }: LinearSite, weight: Float32Array): Edit {
  const shape = [layer.outFeatures, layer.inFeatures];
  const made = noGrad(() => tensor(weight, { shape, backend: backendOf(layer) }));
  if (!(layer instanceof Linear)) return { path, module: new Linear(made) };
  return { path, values: { weight: noGrad(() => made.cast(layer.weight.value.dtype)) } };
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
