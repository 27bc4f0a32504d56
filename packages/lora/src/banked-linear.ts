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

/** What the adapters of one layer are computed from, stacked. */
interface Stack {
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

  /** Takes the adapters of all slots; null for a slot that is free or leaves this layer alone. */
  setSlots(slots: readonly (LowRank | null)[]): void {
    const next = noGrad(() => stackOf(this.base, slots));
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

function stackOf(base: LinearLike, slots: readonly (LowRank | null)[]): Stack | null {
  const present = slots.filter((slot) => slot !== null);
  if (present.length === 0) return null;
  const { backend } = present[0].down;
  const R = Math.max(...present.map(({ down }) => down.shape[0]));
  const [C, F] = [base.inFeatures, base.outFeatures];
  const none = (rank: number) => ({
    down: zeros([rank, C], { backend }),
    up: zeros([F, rank], { backend }),
  });
  return scope(() => {
    const filled = slots.map((slot) => {
      if (!slot) return none(R);
      const up = slot.up.mul(slot.scale);
      const missing = R - slot.down.shape[0];
      if (missing === 0) return { down: slot.down, up };
      const rest = none(missing);
      return { down: concat([slot.down, rest.down]), up: concat([up, rest.up], 1) };
    });
    const dtype = precisionOf(base, backend);
    const hasFactors = present.some(({ magnitude }) => magnitude);
    const factors = slots.map((slot) => factorsOf(base, slot) ?? zeros([1, F], { backend }));
    return {
      down: keep(concat(filled.map(({ down }) => down.reshape(1, R, C).cast(dtype)))),
      up: keep(concat(filled.map(({ up }) => up.transpose().reshape(1, R, F).cast(dtype)))),
      factors: hasFactors ? keep(concat([zeros([1, F], { backend }), ...factors])) : null,
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
