import { type LinearSite, linearSites, readWeight, type Site } from '@frugal/compress';
import { keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { Linear } from '@frugal/tensor-core/nn';

/**
 * Which weights a method removed. Later training may not bring them back. The weights alone tell: a run that was interrupted
 * takes finished blocks from its store, and nobody prunes them again.
 */
export class Masks {
  /** 1 = not zero after the stage that pruned. By path, which stays the same whatever becomes of the layer. */
  private readonly ofPaths = new Map<string, Uint8Array>();

  /** Zeros what is zero before a training again after each of its steps. */
  hold(sites: readonly Site[]): { parametrize(): Disposable; afterStep(): void } {
    const held: { layer: Linear; mask: Tensor }[] = [];
    return {
      parametrize: () => {
        for (const { layer } of linearSites(sites))
          if (layer.base instanceof Linear)
            held.push({ layer: layer.base, mask: nonZero(layer.base.weight.value) });
        return {
          [Symbol.dispose]() {
            for (const { mask } of held.splice(0)) mask.dispose();
          },
        };
      },
      afterStep: () => {
        for (const { layer, mask } of held)
          scope(() => noGrad(() => void layer.weight.value.assign(layer.weight.value.mul(mask))));
      },
    };
  }

  /**
   * A sentence when a removed weight is not zero. The first look at a layer, after the stage that pruned, learns which ones
   * are; so does the first after a cut, which took zeros with it.
   */
  async check({ path, layer }: LinearSite): Promise<string | null> {
    const mask = this.ofPaths.get(path);
    const weight = await readWeight(layer, path);
    if (mask?.length !== weight.length) {
      this.ofPaths.set(
        path,
        Uint8Array.from(weight, (value) => (value === 0 ? 0 : 1)),
      );
      return null;
    }
    const alive = weight.reduce((count, value, i) => count + (mask[i] === 0 && value !== 0 ? 1 : 0), 0);
    return alive > 0 ? `${alive} of the removed weights are no longer zero` : null;
  }
}

/** f32 like x: 1 where it is not zero. */
export function nonZero(x: Tensor): Tensor {
  return keep(scope(() => noGrad(() => x.cast('f32').equal(0).logicalNot().cast('f32'))));
}
