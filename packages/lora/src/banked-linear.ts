import {
  ArgumentError,
  type Backend,
  concat,
  type FloatDType,
  keep,
  noGrad,
  run,
  scope,
  type Tensor,
  zeros,
} from '@frugal/tensor-core';
import { type LinearLike, Module, Parameter, type RowContext } from '@frugal/tensor-core/nn';
import { AdaptedLinear, type LowRank, rowFactors } from './adapted-linear.js';

/** What the adapters of one layer are computed from, stacked: all that is kept of them. */
interface Stack {
  /** Of each slot; 0: it is free, or its adapter leaves this layer alone. */
  readonly ranks: readonly number[];
  /** Whether it has DoRA's factors, by slot. */
  readonly scaled: readonly boolean[];
  /** A [S, R, C], of S slots; ranks are filled up with zeros. */
  readonly down: Tensor;
  /** s Bᵀ [S, R, F]. */
  readonly up: Tensor;
  /** DoRA's factor of each row, less 1: [S + 1, F], the first for rows without an adapter. */
  readonly factors: Tensor | null;
}

/**
 * A layer with one adapter for each row of a batch, of those in a bank: W x + s B[a] A[a] x + bias. For inference. Adapters are kept
 * in f32 where the weight is, else in bf16: with few rows for each of them, reading them is what takes time.
 */
export class BankedLinear extends Module implements LinearLike {
  base: LinearLike;
  // Hidden from members(): a bank is no part of the model.
  #stack: Stack | null = null;

  constructor(base: LinearLike) {
    super();
    this.base = base;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }
  get outFeatures(): number {
    return this.base.outFeatures;
  }
  get bias(): Parameter | null {
    return this.base.bias;
  }
  get activation(): LinearLike['activation'] {
    return this.base.activation;
  }
  get weightBytes(): number {
    return this.base.weightBytes;
  }
  /** Of the adapters of all slots. */
  get adapterBytes(): number {
    const { down, up, factors } = this.#stack ?? {};
    return [down, up, factors].reduce((sum, part) => sum + (part?.byteLength ?? 0), 0);
  }

  /**
   * Changes what is in one of `count` slots: a copy of an adapter, or nothing. Other slots keep every bit.
   * @param adapter null: the slot is free, or its adapter leaves this layer alone
   */
  setSlot(slot: number, adapter: LowRank | null, count: number): void {
    const next = noGrad(() => restacked(this.base, this.#stack, { slot, adapter, count }));
    this.disposeStack();
    this.#stack = next;
  }

  forward(x: Tensor, rows?: RowContext): Tensor {
    const y = this.base.forward(x, rows);
    const stack = this.#stack;
    const adapter = rows?.adapterOfRow;
    if (!stack || !adapter) return y;
    const sum = run('groupedLowRank', [x, stack.down, stack.up, adapter, y], { scale: 1, base: true });
    if (!stack.factors) return sum;
    // sum + (sum - bias) (factor - 1): rows whose factor is 1 keep every bit.
    const lessOne = stack.factors.gatherRows(adapter.add(1)).cast(sum.dtype);
    const product = this.bias ? sum.sub(this.bias.value.cast(sum.dtype)) : sum;
    return sum.add(product.mul(lessOne));
  }

  effectiveWeight(rowStart?: number, rowCount?: number): Tensor {
    return this.base.effectiveWeight(rowStart, rowCount);
  }

  scaleColumns(): void {
    throw new ArgumentError({
      where: 'BankedLinear.scaleColumns',
      what: 'adapters in a bank cannot be scaled',
      hint: 'Scale before adapters are loaded.',
    });
  }

  replaceBase(layer: LinearLike): LinearLike {
    this.base = layer;
    return this;
  }

  /** Frees the adapters and leaves the base alone. */
  disposeStack(): void {
    const { down, up, factors } = this.#stack ?? {};
    for (const each of [down, up, factors]) each?.dispose();
    this.#stack = null;
  }

  override dispose(): void {
    this.disposeStack();
    this.base.dispose();
  }
}

/** Adapters need not be more precise than what they add to. */
function precisionOf(layer: LinearLike, { capabilities }: Backend): FloatDType {
  const { weight } = layer.base as { readonly weight?: unknown };
  const isDense = weight instanceof Parameter && weight.value.dtype === 'f32';
  return isDense || !capabilities.dtypes.has('bf16') ? 'f32' : 'bf16';
}

interface Change {
  readonly slot: number;
  readonly adapter: LowRank | null;
  readonly count: number;
}

function restacked(base: LinearLike, stack: Stack | null, { slot, adapter, count }: Change): Stack | null {
  const ranks = Array.from({ length: count }, (_, i) =>
    i === slot ? (adapter?.down.shape[0] ?? 0) : (stack?.ranks[i] ?? 0),
  );
  const scaled = ranks.map((_, i) => (i === slot ? adapter?.magnitude != null : (stack?.scaled[i] ?? false)));
  const R = Math.max(0, ...ranks);
  if (R === 0) return null;
  const { backend } = (adapter ?? (stack as Stack)).down;
  const dtype = precisionOf(base, backend);
  const F = base.outFeatures;
  const zeroRows = (rows: number, columns: number) => zeros([rows, columns], { backend, dtype });
  /** [rank, C] of A or [rank, F] of s Bᵀ, filled up to R. */
  const part = (name: 'down' | 'up', columns: number, given: () => Tensor) =>
    concat(
      ranks.map((rank, i) => {
        const rows =
          i === slot && adapter
            ? given().cast(dtype)
            : rank > 0 &&
              stack?.[name]
                .slice(0, i, i + 1)
                .reshape(-1, columns)
                .slice(0, 0, rank);
        const rest = zeroRows(R - rank, columns);
        const filled = !rows ? rest : rank === R ? rows : concat([rows, rest]);
        return filled.reshape(1, R, columns);
      }),
    );
  return scope(() => {
    const own = factorsOf(base, adapter);
    const factors = scaled.map((isScaled, i) => {
      const kept = i === slot ? own : isScaled && stack?.factors?.slice(0, i + 1, i + 2);
      return kept || zeros([1, F], { backend });
    });
    return {
      ranks,
      scaled,
      down: keep(part('down', base.inFeatures, () => (adapter as LowRank).down)),
      up: keep(part('up', F, () => (adapter as LowRank).up.mul((adapter as LowRank).scale).transpose())),
      factors: scaled.includes(true) ? keep(concat([zeros([1, F], { backend }), ...factors])) : null,
    };
  });
}

/** magnitude / length - 1 of each row of W + s B A, [1, F]. */
function factorsOf(base: LinearLike, slot: LowRank | null): Tensor | null {
  if (!slot?.magnitude) return null;
  const lengths = new AdaptedLinear(base, slot).rowLengths();
  const factors = rowFactors(slot.magnitude, lengths).sub(1).reshape(1, -1);
  lengths.dispose();
  return factors;
}
