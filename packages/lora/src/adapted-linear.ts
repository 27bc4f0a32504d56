import { ArgumentError, concat, keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { Buffer, Linear, type LinearLike, Module, Parameter, type RowContext } from '@frugal/tensor-core/nn';

/** What an adapter adds to a layer W [F, C]. */
export interface LowRank {
  /** A [R, C]. */
  readonly down: Tensor;
  /** B [F, R]. */
  readonly up: Tensor;
  /** s, the factor before B A. */
  readonly scale: number;
  /** DoRA's length of each row of the whole matrix, [F]. */
  readonly magnitude?: Tensor | null | undefined;
  /** A₀ and B₀, whose product the base is taken to lack (PiSSA): the change is s (B A - B₀ A₀). */
  readonly origin?: { readonly down: Tensor; readonly up: Tensor } | null | undefined;
  /** f32 [F, C]: where the base may change, 1; elsewhere 0. Products are then made of the whole matrix. */
  readonly mask?: Tensor | null | undefined;
}

/** A tensor as it was. */
interface TensorState {
  readonly each: Tensor;
  readonly version: number;
}

/** Rows of a weight that are unpacked at a time. */
const TILE_BYTES = 4 * 2 ** 20;

/**
 * A layer and its low-rank adapter (Hu et al. 2021): W x + s · B A x + bias, over a base of any kind. With a magnitude m it
 * is DoRA (Liu et al. 2024): each row of W + s B A is scaled to length m. As in the paper (§ 4.3) no gradient flows through
 * that length.
 */
export class AdaptedLinear extends Module implements LinearLike {
  base: LinearLike;
  readonly down: Parameter;
  readonly up: Parameter;
  readonly magnitude: Parameter | null;
  readonly originDown: Buffer | null;
  readonly originUp: Buffer | null;
  readonly mask: Tensor | null;
  readonly scale: number;
  #lengths: { readonly value: Tensor; readonly key: readonly TensorState[] } | null = null;

  constructor(base: LinearLike, { down, up, scale, magnitude = null, origin = null, mask = null }: LowRank) {
    super();
    const fits =
      down.rank === 2 &&
      up.rank === 2 &&
      down.shape[1] === base.inFeatures &&
      up.shape[0] === base.outFeatures;
    if (
      !fits ||
      down.shape[0] !== up.shape[1] ||
      (magnitude && String(magnitude.shape) !== String([up.shape[0]]))
    )
      throw new ArgumentError({
        where: 'AdaptedLinear',
        what: 'the adapter does not fit the layer',
        got: `down [${down.shape}], up [${up.shape}]${magnitude ? `, magnitude [${magnitude.shape}]` : ''}`,
        expected: `down [R, ${base.inFeatures}], up [${base.outFeatures}, R], magnitude [${base.outFeatures}]`,
      });
    this.base = base;
    this.scale = scale;
    this.down = new Parameter(down);
    this.up = new Parameter(up);
    this.magnitude = magnitude && new Parameter(magnitude);
    this.originDown = origin && new Buffer(origin.down);
    this.originUp = origin && new Buffer(origin.up);
    this.mask = mask && keep(mask);
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }
  get outFeatures(): number {
    return this.base.outFeatures;
  }
  get rank(): number {
    return this.down.shape[0];
  }
  get bias(): Parameter | null {
    return this.base.bias;
  }
  get activation(): LinearLike['activation'] {
    return this.base.activation;
  }
  get weightBytes(): number {
    return [...this.adapterParameters(), ...this.originParts()].reduce(
      (sum, { value }) => sum + value.byteLength,
      this.base.weightBytes,
    );
  }

  /** R of the ordinary adapter that does the same: twice as much where there is an origin. */
  get plainRank(): number {
    return this.originDown ? 2 * this.rank : this.rank;
  }

  /** The ordinary adapter that does the same over the same base: [A; A₀] and [B, -B₀]. The tensors are the caller's. */
  plainParts(): Required<Pick<LowRank, 'down' | 'up'>> {
    return noGrad(() => {
      const { originDown, originUp } = this;
      if (!originDown || !originUp) return { down: this.down.value.copy(), up: this.up.value.copy() };
      return {
        down: concat([this.down.value, originDown.value]),
        up: scope(() => concat([this.up.value, originUp.value.mul(-1)], 1)),
      };
    });
  }

  /** A, B and, for DoRA, the magnitude: all that the layer adds to its base. */
  adapterParameters(): Parameter[] {
    return [this.down, this.up, ...(this.magnitude ? [this.magnitude] : [])];
  }

  forward(x: Tensor, rows?: RowContext): Tensor {
    if (rows?.adapterOfRow)
      throw new ArgumentError({
        where: 'AdaptedLinear.forward',
        what: 'an adapter of its own for each row is not supported here',
        hint: 'Leave adapterOfRow out: the attached adapter applies to all rows.',
      });
    if (this.mask) return this.multiplyWhole(x);
    const y = this.base.forward(x, rows);
    const adapted = this.addChange(x, y);
    if (!this.magnitude) return adapted;
    const factor = rowFactors(this.magnitude.value, this.rowLengths()).cast(y.dtype);
    if (!this.bias) return adapted.mul(factor);
    // The bias is outside of what is scaled.
    const bias = this.bias.value.cast(y.dtype);
    return adapted.sub(bias).mul(factor).add(bias);
  }

  /** y + s (B A - B₀ A₀) x. The scale is applied where there is least to multiply. */
  private addChange(x: Tensor, y: Tensor): Tensor {
    const narrow = linear(x, this.down).mul(this.scale); // [..., R]
    const added = linear(narrow, this.up, y);
    if (!this.originDown || !this.originUp) return added;
    const { originDown, originUp } = this;
    const before = x.matmul(originDown.value.cast(x.dtype).transpose()).mul(-this.scale);
    return added.add(before.matmul(originUp.value.cast(x.dtype).transpose()));
  }

  private multiplyWhole(x: Tensor): Tensor {
    const y = x.matmul(this.effectiveWeight().cast(x.dtype).transpose());
    return this.bias ? y.add(this.bias.value.cast(y.dtype)) : y;
  }

  /** Rows of W + s B A as f32 [count, C], before DoRA's scaling. */
  private direction(rowStart: number, rowCount: number): Tensor {
    const product = (down: Tensor, up: Tensor) =>
      up
        .slice(0, rowStart, rowStart + rowCount)
        .cast('f32')
        .matmul(down.cast('f32'))
        .mul(this.scale);
    let change = product(this.down.value, this.up.value);
    if (this.originDown && this.originUp)
      change = change.sub(product(this.originDown.value, this.originUp.value));
    if (this.mask) change = change.mul(this.mask.slice(0, rowStart, rowStart + rowCount));
    return this.base.effectiveWeight(rowStart, rowCount).add(change);
  }

  effectiveWeight(rowStart = 0, rowCount = this.outFeatures - rowStart): Tensor {
    const direction = this.direction(rowStart, rowCount);
    if (!this.magnitude) return direction;
    const factor = rowFactors(this.magnitude.value, this.rowLengths()).slice(
      0,
      rowStart,
      rowStart + rowCount,
    );
    return direction.mul(factor.reshape(rowCount, 1));
  }

  /** Lengths of the rows of W + s B A, f32 [F], without gradient; kept until A, B or the base changes. */
  rowLengths(): Tensor {
    const weight = (this.base as { weight?: unknown }).weight;
    const tensors = [this.down.value, this.up.value, ...(weight instanceof Parameter ? [weight.value] : [])];
    const key = tensors.map((each) => ({ each, version: each.storage.version }));
    const known = this.#lengths;
    const isCurrent = known?.key.every(
      ({ each, version }, i) => each === key[i].each && version === key[i].version,
    );
    if (known && isCurrent) return known.value;
    this.forgetLengths();
    const value = keep(
      noGrad(() => scope(() => rowLengths((start, count) => this.direction(start, count), this))),
    );
    this.#lengths = { value, key };
    return value;
  }

  scaleColumns(factors: Tensor): void {
    const before = this.magnitude && this.rowLengths().copy();
    this.base.scaleColumns(factors);
    noGrad(() => {
      for (const down of [this.down, this.originDown])
        if (down) down.value = scope(() => down.value.mul(factors.cast(down.value.dtype)));
      this.forgetLengths();
      // The rows of the product are scaled, and their lengths with them.
      if (this.magnitude && before)
        this.magnitude.value = scope(() => this.magnitude!.value.mul(rowFactors(this.rowLengths(), before)));
    });
    before?.dispose();
  }

  replaceBase(layer: LinearLike): LinearLike {
    this.base = layer;
    this.forgetLengths();
    return this;
  }

  /** Frees the adapter and leaves the base alone. */
  disposeAdapter(): void {
    for (const parameter of this.adapterParameters()) {
      parameter.clearGradient();
      parameter.clearCopy();
      parameter.value.dispose();
    }
    for (const { value } of this.originParts()) value.dispose();
    this.mask?.dispose();
    this.forgetLengths();
  }

  private originParts(): Buffer[] {
    return [this.originDown, this.originUp].filter((part) => part !== null);
  }

  override dispose(): void {
    this.disposeAdapter();
    this.base.dispose();
  }

  private forgetLengths(): void {
    this.#lengths?.value.dispose();
    this.#lengths = null;
  }
}

/** x Wᵀ + residual, in the dtype of x. */
function linear(x: Tensor, weight: Parameter, residual?: Tensor): Tensor {
  return new Linear(weight).multiply(x, { residual });
}

/**
 * DoRA's factor of each row: wanted / length, f32 [F]. A row of zeros has no direction that could be made longer: its factor
 * is 1, so that it stays zero, and B gets the gradient that gives it a direction.
 */
export function rowFactors(wanted: Tensor, lengths: Tensor): Tensor {
  const isZero = lengths.lessEqual(0).cast('f32');
  return wanted.mul(isZero.neg().add(1)).div(lengths.add(isZero)).add(isZero);
}

/** Lengths of the rows of a matrix [F, C] that `rows` gives in pieces: f32 [F]. */
export function rowLengths(
  rows: (start: number, count: number) => Tensor,
  { outFeatures, inFeatures }: Pick<LinearLike, 'outFeatures' | 'inFeatures'>,
): Tensor {
  const tile = Math.max(1, Math.floor(TILE_BYTES / (4 * inFeatures)));
  const lengths: Tensor[] = [];
  for (let start = 0; start < outFeatures; start += tile)
    lengths.push(
      scope(() => {
        const part = rows(start, Math.min(tile, outFeatures - start));
        return part.mul(part).sum(1).sqrt();
      }),
    );
  return lengths.length === 1 ? lengths[0] : concat(lengths);
}
