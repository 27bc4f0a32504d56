import { ArgumentError, concat, keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { Linear, type LinearLike, Module, Parameter, type RowContext } from '@frugal/tensor-core/nn';

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
  readonly scale: number;
  // Hidden from members(): they share the parameters above.
  readonly #products: { readonly down: Linear; readonly up: Linear };
  #lengths: { readonly value: Tensor; readonly key: string } | null = null;

  constructor(base: LinearLike, { down, up, scale, magnitude = null }: LowRank) {
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
    this.#products = { down: new Linear(this.down), up: new Linear(this.up) };
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
    return this.adapterParameters().reduce(
      (sum, { value }) => sum + value.storage.byteLength,
      this.base.weightBytes,
    );
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
    const y = this.base.forward(x, rows);
    const { down, up } = this.#products;
    const change = up.forward(down.forward(x)).mul(this.scale);
    if (!this.magnitude) return y.add(change);
    const factor = this.magnitude.value.div(this.rowLengths()).cast(y.dtype);
    if (!this.bias) return y.add(change).mul(factor);
    // The bias is outside of what is scaled.
    const bias = this.bias.value.cast(y.dtype);
    return y.sub(bias).add(change).mul(factor).add(bias);
  }

  /** Rows of W + s B A as f32 [count, C], before DoRA's scaling. */
  private direction(rowStart: number, rowCount: number): Tensor {
    const up = this.up.value.slice(0, rowStart, rowStart + rowCount).cast('f32');
    return this.base
      .effectiveWeight(rowStart, rowCount)
      .add(up.matmul(this.down.value.cast('f32')).mul(this.scale));
  }

  effectiveWeight(rowStart = 0, rowCount = this.outFeatures - rowStart): Tensor {
    const direction = this.direction(rowStart, rowCount);
    if (!this.magnitude) return direction;
    const factor = this.magnitude.value.div(this.rowLengths()).slice(0, rowStart, rowStart + rowCount);
    return direction.mul(factor.reshape(rowCount, 1));
  }

  /** Lengths of the rows of W + s B A, f32 [F], without gradient; kept until A, B or the base changes. */
  rowLengths(): Tensor {
    const weight = (this.base as { weight?: unknown }).weight;
    const version = weight instanceof Parameter ? weight.value.storage.version : 0;
    const key = [this.down.value.storage.version, this.up.value.storage.version, version].join();
    if (this.#lengths?.key === key) return this.#lengths.value;
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
      this.down.value = scope(() => this.down.value.mul(factors.cast(this.down.value.dtype)));
      this.forgetLengths();
      // The rows of the product are scaled, and their lengths with them.
      if (this.magnitude && before)
        this.magnitude.value = scope(() => this.magnitude!.value.mul(this.rowLengths().div(before)));
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
    this.forgetLengths();
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
