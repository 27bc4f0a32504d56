import { type LinearSite, linearSites, readWeight, type Site } from '@frugal/compress';
import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { Linear } from '@frugal/tensor-core/nn';

/** Which weights a method removed, by path: 1 = kept. Later training may not bring them back. */
export class Masks {
  private readonly masks = new Map<string, Uint8Array>();

  set(path: string, mask: Uint8Array): void {
    this.masks.set(path, mask);
  }

  /** Zeros the removed weights again after each step of a training. */
  hold(sites: readonly Site[]): { parametrize(): Disposable; afterStep(): void } {
    const held: { layer: Linear; mask: Tensor }[] = [];
    return {
      parametrize: () => {
        for (const { path, layer } of linearSites(sites)) {
          const mask = this.masks.get(path);
          if (!mask || !(layer.base instanceof Linear)) continue;
          const { shape, value } = layer.base.weight;
          held.push({
            layer: layer.base,
            mask: tensor(Float32Array.from(mask), { shape, backend: value.backend }),
          });
        }
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

  /** A sentence when a removed weight is not zero. */
  async check({ path, layer }: LinearSite): Promise<string | null> {
    const mask = this.masks.get(path);
    if (!mask) return null;
    const weight = await readWeight(layer, path);
    if (weight.length !== mask.length) return null; // the layer was cut since: its zeros went with it
    const alive = weight.reduce((count, value, i) => count + (mask[i] === 0 && value !== 0 ? 1 : 0), 0);
    return alive > 0 ? `${alive} of the removed weights are no longer zero` : null;
  }
}
