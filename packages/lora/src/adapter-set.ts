import { ArgumentError, type FloatDType, noGrad, scope } from '@frugal/tensor-core';
import { Linear, type Module, type Parameter } from '@frugal/tensor-core/nn';
import type { AdaptedLinear } from './adapted-linear.js';
import { denseDType, isTied, writeWeight } from './dense-weight.js';

/** The adapters that were attached to a model together. */
export class AdapterSet {
  private merged: Map<string, Linear> | null = null;

  /** Whether scales are alpha / √rank. */
  readonly rankStabilized: boolean;
  /** The parameters of the base that were trainable before. */
  private readonly frozen: readonly Parameter[];

  constructor(
    private readonly model: Module,
    /** By the path of the layer that each adapts. */
    readonly layers: ReadonlyMap<string, AdaptedLinear>,
    options: { readonly frozen: readonly Parameter[]; readonly rankStabilized: boolean },
  ) {
    this.frozen = options.frozen;
    this.rankStabilized = options.rankStabilized;
  }

  get isMerged(): boolean {
    return this.merged !== null;
  }

  /** What the optimizer changes. */
  parameters(): Parameter[] {
    return [...this.layers.values()].flatMap((layer) => layer.adapterParameters());
  }

  /**
   * Puts dense layers with the adapted weights in place, in the dtype of the base. The originals stay in memory, so that
   * {@link unmerge} gives back every bit. Experts leave their stack: save and load the model to have them in one again.
   * @throws ArgumentError naming all packed layers, before any work: their weights would have to be rounded again
   */
  merge(): void {
    if (this.merged) return;
    const dtypes = this.requireDense('AdapterSet.merge');
    const merged = new Map<string, Linear>();
    for (const [path, layer] of this.layers) {
      const dtype = dtypes.get(path) ?? 'f32';
      const weight = noGrad(() => scope(() => layer.effectiveWeight().cast(dtype)));
      const replacement = new Linear(weight, layer.bias?.value.copy() ?? null);
      for (const parameter of replacement.parameters()) parameter.trainable = false;
      merged.set(path, replacement);
      this.model.replace(path, replacement);
    }
    this.merged = merged;
  }

  /**
   * Merges for good: the weights change in place, experts within their stack, and the adapters are freed.
   * @throws ArgumentError naming all packed layers, before any work
   */
  fold(): void {
    this.unmerge();
    this.requireDense('AdapterSet.fold');
    for (const [path, layer] of this.layers) {
      if (isTied(this.model, path) && layer.base instanceof Linear) {
        // The embedding has the same matrix, and the adapter was not for it: the head gets one of its own.
        const { dtype } = layer.base.weight.value;
        const weight = noGrad(() => scope(() => layer.effectiveWeight().cast(dtype as FloatDType)));
        this.model.replace(path, new Linear(weight, layer.bias?.value.copy() ?? null));
        layer.disposeAdapter();
        continue;
      }
      noGrad(() => scope(() => writeWeight(this.model, path, layer.base, layer.effectiveWeight())));
      this.model.replace(path, layer.base);
      layer.disposeAdapter();
    }
    for (const parameter of this.frozen) parameter.trainable = true;
  }

  /** The dtypes of the weights below the adapters. @throws ArgumentError naming all packed layers */
  requireDense(where: string): ReadonlyMap<string, FloatDType> {
    const dtypes = new Map<string, FloatDType>();
    const packed: string[] = [];
    for (const [path, { base }] of this.layers) {
      const dtype = denseDType(this.model, path, base);
      if (dtype) dtypes.set(path, dtype);
      else packed.push(path);
    }
    if (packed.length === 0) return dtypes;
    throw new ArgumentError({
      where,
      what: 'weights that are not dense cannot take an adapter in without rounding again',
      got: packed.join(', '),
      hint: 'Keep the adapter beside them, or merge it with mergePacked, which rounds them again and measures what is lost.',
    });
  }

  /** Puts the adapted layers back as they were before {@link merge}. */
  unmerge(): void {
    for (const [path, replacement] of this.merged ?? []) {
      this.model.replace(path, this.layers.get(path) as AdaptedLinear);
      replacement.dispose();
    }
    this.merged = null;
  }

  /** Takes the adapters off and frees them; the model is what it was, trainable parameters included. */
  detach(): void {
    this.unmerge();
    for (const [path, layer] of this.layers) {
      this.model.replace(path, layer.base);
      layer.disposeAdapter();
    }
    for (const parameter of this.frozen) parameter.trainable = true;
  }
}
