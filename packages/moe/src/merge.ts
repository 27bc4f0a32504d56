import { ArgumentError, concat, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import type { FeedForwardWeights } from './upcycle.js';

/**
 * Groups of experts to merge, from how alike they are: similarity [E, E] (of their outputs on the same tokens; symmetric), until
 * `count` groups are left. Agglomerative clustering with average linkage; ties: the smaller indices. Experts keep their order.
 * @throws ArgumentError when `count` is out of range or the matrix is not square
 */
export function mergeGroups(similarity: readonly (readonly number[])[], count: number): number[][] {
  const E = similarity.length;
  if (!(Number.isInteger(count) && count >= 1 && count <= E) || similarity.some((row) => row.length !== E))
    throw new ArgumentError({
      where: 'mergeGroups',
      what: 'experts cannot be merged so',
      got: `${count} groups of ${E} rows`,
      expected: `1 to ${E} groups, and a square matrix`,
    });
  const groups = Array.from({ length: E }, (_, e) => [e]);
  const linkage = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, i) => sum + b.reduce((inner, j) => inner + similarity[i][j], 0), 0) /
    (a.length * b.length);
  while (groups.length > count) {
    let [first, second, most] = [0, 1, Number.NEGATIVE_INFINITY];
    for (let i = 0; i < groups.length; i++)
      for (let j = i + 1; j < groups.length; j++) {
        const value = linkage(groups[i], groups[j]);
        if (value > most) [first, second, most] = [i, j, value];
      }
    groups[first] = [...groups[first], ...groups[second]].sort((a, b) => a - b);
    groups.splice(second, 1);
  }
  return groups;
}

/** The experts of a layer and its router: gate and up [E, F, C], down [E, C, F], router [E, C]. */
export interface ExpertWeights extends FeedForwardWeights {
  readonly router: Tensor;
}

/**
 * One expert per group: the mean of its members by `usage`, how often each was chosen (Li et al. 2023, arXiv:2310.01334). The
 * neurons of each member are first put in the order of the most used one: experts that compute the same in another order
 * would cancel out otherwise. Router rows are averaged alike, so a group is chosen where its members were.
 */
export async function mergeExperts(
  weights: ExpertWeights,
  groups: readonly (readonly number[])[],
  usage: readonly number[],
): Promise<ExpertWeights> {
  const orders = await neuronOrders(weights, groups, usage);
  const shares = mergeShares(groups, usage);
  const merged = (stack: Tensor, neuronAxis: 0 | 1 | null) =>
    noGrad(() =>
      scope(() => {
        const rows = groups.map((group, g) =>
          group
            .map((e, i) => {
              const own = stack
                .slice(0, e, e + 1)
                .reshape(...stack.shape.slice(1))
                .cast('f32');
              return inOrder(own, orders.get(e), neuronAxis).mul(shares[g][i]);
            })
            .reduce((sum, part) => sum.add(part)),
        );
        return stackOf(rows).cast(stack.dtype);
      }),
    );
  return {
    gate: merged(weights.gate, 0),
    up: merged(weights.up, 0),
    down: merged(weights.down, 1),
    router: merged(weights.router, null),
  };
}

/** How much each member counts in its group: by its usage, or all alike where no member was used. */
export function mergeShares(
  groups: readonly (readonly number[])[],
  usage: readonly number[],
): readonly (readonly number[])[] {
  return groups.map((group) => {
    const total = group.reduce((sum, e) => sum + usage[e], 0);
    return group.map((e) => (total > 0 ? usage[e] / total : 1 / group.length));
  });
}

/** For each expert but the most used of its group: which of its neurons stands for each neuron of that one. */
async function neuronOrders(
  { gate, up, down }: ExpertWeights,
  groups: readonly (readonly number[])[],
  usage: readonly number[],
): Promise<Map<number, Int32Array>> {
  const [, F] = gate.shape;
  const orders = new Map<number, Int32Array>();
  for (const group of groups) {
    const leader = group.reduce((best, e) => (usage[e] > usage[best] ? e : best));
    for (const e of group.filter((member) => member !== leader)) {
      const alike = scope(() =>
        noGrad(() => {
          const rows = (i: number) => {
            const take = (stack: Tensor) =>
              stack
                .slice(0, i, i + 1)
                .reshape(...stack.shape.slice(1))
                .cast('f32');
            return [take(gate), take(up), take(down).transpose()].map(unitRows);
          };
          const [a, b] = [rows(leader), rows(e)];
          return a.map((part, i) => part.matmul(b[i].transpose())).reduce((sum, part) => sum.add(part)); // [F, F]
        }),
      );
      orders.set(e, assignGreedily(await alike.toFloat32(), F));
      alike.dispose();
    }
  }
  return orders;
}

/** Pairs rows with columns, the most alike first: each row's column. */
function assignGreedily(alike: Float32Array, size: number): Int32Array {
  const order = Uint32Array.from(alike.keys()).sort((a, b) => alike[b] - alike[a] || a - b);
  const columnOf = new Int32Array(size).fill(-1);
  const taken = new Uint8Array(size);
  for (const place of order) {
    const [row, column] = [Math.floor(place / size), place % size];
    if (columnOf[row] >= 0 || taken[column]) continue;
    columnOf[row] = column;
    taken[column] = 1;
  }
  return columnOf;
}

function inOrder(matrix: Tensor, order: Int32Array | undefined, axis: 0 | 1 | null): Tensor {
  if (!order || axis === null) return matrix;
  const indices = tensor(order, { backend: matrix.backend });
  return axis === 0 ? matrix.gatherRows(indices) : matrix.transpose().gatherRows(indices).transpose();
}

function unitRows(x: Tensor): Tensor {
  return x.div(x.mul(x).sum(1, true).sqrt().add(1e-12));
}

function stackOf(parts: readonly Tensor[]): Tensor {
  return concat(parts.map((part) => part.contiguous().reshape(1, ...part.shape)));
}
