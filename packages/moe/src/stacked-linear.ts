import {
  arange,
  groupedMatmul,
  groupedPackedMatmul,
  noGrad,
  scope,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { isWatched, type LinearLike, Module, PackedLinear, Parameter } from '@frugal/tensor-core/nn';

/**
 * One linear layer per expert, of equal size, over rows that are sorted by expert. The weights lie in one tensor
 * [E, F, C], so that all experts are one grouped product; each expert is a `LinearLike` of its own, which methods can
 * watch and replace (packed, masked, adapted).
 */
export class StackedLinear extends Module {
  private readonly layers: LinearLike[];
  private readonly stack: Parameter;

  constructor(weight: Tensor | Parameter) {
    super();
    this.stack = weight instanceof Parameter ? weight : new Parameter(weight);
    this.layers = Array.from({ length: this.stack.shape[0] }, (_, e) => new StackedSite(this.stack, e));
  }

  /** The layer of each expert: at first a view of the stack. As many as the stack has, which may lose experts. */
  get sites(): LinearLike[] {
    const [E] = this.stack.shape;
    if (this.layers.length > E) this.layers.length = E;
    return this.layers;
  }

  get experts(): number {
    return this.sites.length;
  }
  get inFeatures(): number {
    return this.sites[0].inFeatures;
  }
  get outFeatures(): number {
    return this.sites[0].outFeatures;
  }
  /** [E, F, C], or null once every expert has been replaced by a layer with a weight of its own. */
  get weight(): Parameter | null {
    return this.sites.some((site) => this.holds(site)) ? this.stack : null;
  }

  /** Whether the weight of a site lies in the stack. */
  holds(site: LinearLike): boolean {
    return site.base instanceof StackedSite;
  }

  site(expert: number): LinearLike {
    return this.sites[expert];
  }

  /** Whether all experts are one grouped product, dense or packed. */
  get isOneProduct(): boolean {
    return this.isPlain || this.packedAlike !== null;
  }

  private get isPlain(): boolean {
    return this.sites.every((site) => site instanceof StackedSite && !isWatched(site));
  }

  /** All experts, where they are packed alike in a layout of the backend's own, whose kernels multiply by them together. */
  private get packedAlike(): readonly PackedLinear[] | null {
    const [first] = this.sites;
    if (!(first instanceof PackedLinear) || first.weight.layout === undefined) return null;
    const isAlike = (site: LinearLike): site is PackedLinear =>
      site instanceof PackedLinear &&
      !isWatched(site) &&
      site.bias === null &&
      site.activation === first.activation &&
      site.weight.isLike(first.weight);
    return this.sites.every(isAlike) ? (this.sites as PackedLinear[]) : null;
  }

  /** Rows [M, C], those of expert e at offsets[e] … offsets[e + 1] - 1 → [M, F]. */
  forward(x: Tensor, offsets: Tensor): Tensor {
    if (this.isPlain)
      return groupedMatmul(x, this.stack.value.cast(x.dtype), offsets, { transposeWeight: true });
    const packed = this.packedAlike;
    if (packed) {
      const weights = packed.map(({ weight }) => weight);
      return groupedPackedMatmul(x, weights, offsets, packed[0].activation ?? 'none');
    }
    return this.oneByOne(x, offsets);
  }

  override *members(): ReturnType<Module['members']> {
    const { weight } = this;
    if (weight) yield ['weight', weight];
    for (const [e, site] of this.sites.entries()) yield [`sites.${e}`, site];
  }

  override dispose(): void {
    super.dispose();
    for (const site of this.sites) site.dispose();
  }

  /** Replaced or watched experts run as layers, each over all rows with those of others zeroed: nothing is read back. */
  private oneByOne(x: Tensor, offsets: Tensor): Tensor {
    const row = arange(x.shape[0], { backend: x.backend });
    const results = this.sites.map((site, e) => {
      const from = offsets
        .slice(0, e, e + 1)
        .lessEqual(row)
        .cast('i32');
      const until = offsets
        .slice(0, e + 1, e + 2)
        .lessEqual(row)
        .cast('i32');
      const mine = from.sub(until).cast(x.dtype).reshape(-1, 1);
      return site.forward(x.mul(mine)).mul(mine);
    });
    return results.reduce((sum, result) => sum.add(result));
  }
}

/** Expert e of a stack. It owns nothing. */
class StackedSite extends Module implements LinearLike {
  readonly bias = null;
  readonly activation = null;
  // Hidden from members(): the weight belongs to the stack.
  readonly #stack: Parameter;

  constructor(
    stack: Parameter,
    readonly expert: number,
  ) {
    super();
    this.#stack = stack;
  }

  get inFeatures(): number {
    return this.#stack.shape[2];
  }
  get outFeatures(): number {
    return this.#stack.shape[1];
  }
  get base(): LinearLike {
    return this;
  }
  get weightBytes(): number {
    return this.#stack.value.byteLength / this.#stack.shape[0];
  }

  forward(x: Tensor): Tensor {
    return x.matmul(this.matrix().cast(x.dtype).transpose());
  }

  scaleColumns(factors: Tensor): void {
    const { value } = this.#stack;
    noGrad(() =>
      scope(() => {
        const scaled = this.matrix().cast('f32').mul(factors).cast(value.dtype);
        value.writeRows(
          tensor(Int32Array.of(this.expert), { backend: value.backend }),
          scaled.reshape(1, ...scaled.shape),
        );
      }),
    );
  }

  effectiveWeight(rowStart = 0, rowCount = this.outFeatures - rowStart): Tensor {
    return this.matrix()
      .slice(0, rowStart, rowStart + rowCount)
      .cast('f32');
  }

  replaceBase(layer: LinearLike): LinearLike {
    return layer;
  }

  /** [F, C]. */
  private matrix(): Tensor {
    const [, F, C] = this.#stack.shape;
    return this.#stack.value.slice(0, this.expert, this.expert + 1).reshape(F, C);
  }
}
