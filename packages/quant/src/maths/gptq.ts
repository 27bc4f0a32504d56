import { type InverseFactor, inverseFactor, spreadError } from '@frugal/compress';
import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { codeOf, fitColumns, type Grid, type GroupParameters, groupParameters } from './grid.js';

export interface GptqOptions {
  readonly grid: Grid;
  /** Added to the diagonal of the Hessian, as a share of its mean. */
  readonly damping?: number;
  /** Columns with the largest Hessian diagonal first; groups stay those of the original order (static groups). */
  readonly actOrder?: boolean;
}

export interface GptqResult extends GroupParameters {
  /** [rows, columns], 0..2^bits - 1. */
  readonly codes: Uint8Array;
  /** Predicted growth of the squared output error over the calibration rows. */
  readonly error: number;
  /** Damping that was needed, as a share. */
  readonly damping: number;
  /** Columns that calibration never used. */
  readonly deadColumns: number;
}

/**
 * GPTQ (Frantar et al. 2022, arXiv:2210.17323): rounds column by column and lets the columns that follow make up for
 * the error, with the inverse Hessian of the layer's inputs.
 * @param weight [rows, columns], row-major; not changed
 * @param gram [columns, columns]: Σ x xᵀ
 * @throws NonFiniteError, ArgumentError for statistics that cannot be used
 */
export async function gptq(
  weight: Float32Array,
  shape: readonly [number, number],
  gram: Tensor,
  { grid, damping = 0.01, actOrder = false }: GptqOptions,
): Promise<GptqResult> {
  const [rows, columns] = shape;
  const { order, ...prepared } = await preparedOnce(gram, actOrder, damping);
  const values = order ? permuteColumns(weight, shape, order) : weight.slice();
  for (const dead of prepared.dead) for (let r = 0; r < rows; r++) values[r * columns + dead] = 0;
  const parameters = groupParameters(rows, columns, grid);
  if (order) fitColumns(weight, shape, grid, parameters);
  const codes = new Uint8Array(weight.length);
  const last = 2 ** grid.bits - 1;
  const { scales, zeros, groups } = parameters;
  const columnAt = order ?? Int32Array.from({ length: columns }, (_, i) => i);
  const groupAt = columnAt.map((column) => Math.floor(column / grid.groupSize));
  const error = await spreadError(values, shape, prepared.factor, {
    backend: gram.backend,
    begin: (start, end) => {
      if (!order) fitColumns(values, shape, grid, parameters, [start, end]);
    },
    choose: (row, start, block, i) => {
      const group = row * groups + groupAt[start + i];
      const scale = scales[group];
      const zero = zeros[group];
      const code = codeOf(block[i], scale, zero, last);
      codes[row * columns + columnAt[start + i]] = code;
      return (code - zero) * scale;
    },
  });
  return { ...parameters, codes, error, damping: prepared.damping, deadColumns: prepared.dead.length };
}

interface Prepared extends InverseFactor {
  /** Of the columns; null for the order that they have. */
  readonly order: Int32Array | null;
}

/** Layers that read the same values share a Gram matrix, and a search rounds each layer to many formats. */
const known = new WeakMap<Tensor, Map<string, Promise<Prepared>>>();

function preparedOnce(gram: Tensor, actOrder: boolean, damping: number): Promise<Prepared> {
  const ofGram = known.get(gram) ?? new Map<string, Promise<Prepared>>();
  known.set(gram, ofGram);
  const key = `${actOrder} ${damping}`;
  const found = ofGram.get(key) ?? prepare(gram, actOrder, damping);
  ofGram.set(key, found);
  return found;
}

async function prepare(gram: Tensor, actOrder: boolean, damping: number): Promise<Prepared> {
  const order = actOrder ? await byImportance(gram) : null;
  return { ...(await factorInOrder(gram, order, damping)), order };
}

/** Column numbers, largest Σ x² first; equal ones in their order. */
async function byImportance(gram: Tensor): Promise<Int32Array> {
  const size = gram.shape[0];
  const values = await gram.toFloat32();
  return Int32Array.from({ length: size }, (_, i) => i).sort(
    (a, b) => values[b * size + b] - values[a * size + a] || a - b,
  );
}

function permuteColumns(
  weight: Float32Array,
  [rows, columns]: readonly [number, number],
  order: Int32Array,
): Float32Array {
  const out = new Float32Array(weight.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) out[r * columns + c] = weight[r * columns + order[c]];
  return out;
}

/** The factor for columns taken in another order. */
async function factorInOrder(
  gram: Tensor,
  order: Int32Array | null,
  damping: number,
): Promise<InverseFactor> {
  if (!order) return inverseFactor(gram, damping);
  const permuted = scope(() =>
    noGrad(() => {
      const columns = tensor(order, { backend: gram.backend });
      return gram.gatherRows(columns).transpose().contiguous().gatherRows(columns);
    }),
  );
  try {
    return await inverseFactor(permuted, damping);
  } finally {
    permuted.dispose();
  }
}
