import { defineMethod, isDense, linearSites, readWeight, type Site } from '@frugal/compress';
import { keep, noGrad, scope, sort, type Tensor, tensor } from '@frugal/tensor-core';
import { Linear, nextTokenLoss, onForward } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { maskRows, parsePattern } from '../maths/pattern.js';
import { gradualSparsity } from '../maths/schedule.js';
import { magnitudeScores } from '../maths/scores.js';
import { Masks, nonZero } from './masks.js';

/**
 * Zeros that grow while the stage trains, so that the weights that stay adapt to each loss (Zhu & Gupta 2017,
 * arXiv:1710.01878): every so many steps the smallest weights of each row go. Its own loss is that of the next token;
 * beside a method of distillation in the same stage it can do without.
 */
export const gradualPruning = defineMethod(
  'prune.gradual',
  {
    /** Share of zeros in the end. */
    sparsity: z.number().gt(0).lt(1),
    /** Share that is zero from the first choice on. */
    start: z.number().min(0).lt(1).default(0),
    /** Steps within which the share grows; the training should have some more. */
    steps: z.number().int().positive(),
    /** Steps between two choices. */
    every: z.number().int().positive().default(10),
    /** `none`: another method of the stage brings one. */
    loss: z.enum(['next-token', 'none']).default('next-token'),
  },
  ({ sparsity, start, steps, every, loss }) => {
    const masks = new Masks();
    return {
      sites: ['linear'],
      needs: { training: true },
      plan: (sites) => ({
        sites: linearSites(sites).map(({ path, layer }) => ({
          path,
          bytesBefore: layer.weightBytes,
          bytesAfter: layer.weightBytes,
        })),
        problems: [
          ...(start >= sparsity ? [`start ${start} is no less than sparsity ${sparsity}`] : []),
          ...linearSites(sites).flatMap(({ path, layer }) =>
            isDense(layer) && layer instanceof Linear
              ? []
              : [`${path} is not dense: prune before quantising`],
          ),
        ],
      }),
      train: ({ student, sites }) => {
        const zeros = new GrowingZeros(sites);
        return {
          parametrize: () => zeros,
          afterStep(step) {
            const isChoice = step <= steps && (step % every === 0 || step === steps);
            zeros.apply(isChoice ? gradualSparsity(step, { start, final: sparsity, steps }) : null);
          },
          ...(loss === 'next-token' && {
            loss: ({ targets, weights, student: output }) =>
              nextTokenLoss(output.hidden, student.head, targets, weights),
          }),
        };
      },
      // What a training that ended early left is cut here; of equal weights the first stay.
      async finish(site) {
        if (site.kind !== 'linear' || !(site.layer instanceof Linear)) return [];
        const { layer, path } = site;
        const shape = [layer.outFeatures, layer.inFeatures] as const;
        const weight = await readWeight(layer, path);
        const mask = maskRows(magnitudeScores(weight), shape, parsePattern(sparsity));
        const { backend, dtype } = layer.weight.value;
        const kept = weight.map((value, i) => value * mask[i]);
        return [{ path, values: { weight: noGrad(() => tensor(kept, { shape, backend }).cast(dtype)) } }];
      },
      hold: (sites) => masks.hold(sites),
      invariant: async (site) => (site.kind === 'linear' ? masks.check(site) : null),
    };
  },
);

/**
 * Masks of layers that only the weights tell: what is zero before the first step of a training, also of one that was
 * resumed, is what had been chosen.
 */
class GrowingZeros implements Disposable {
  private readonly masks = new Map<Linear, Tensor>();
  private readonly hooks: Disposable[];

  constructor(sites: readonly Site[]) {
    this.hooks = linearSites(sites).flatMap(({ layer }) =>
      layer instanceof Linear ? this.watch(layer) : [],
    );
  }

  /** Zeros what is masked; a share chooses anew first. */
  apply(share: number | null): void {
    for (const [layer, before] of this.masks) {
      const { value } = layer.weight;
      scope(() => noGrad(() => void value.assign(value.mul(before))));
      if (share === null) continue;
      const dropped = Math.floor(layer.inFeatures * share);
      if (dropped === 0) continue;
      this.masks.set(layer, smallestMasked(value, dropped));
      before.dispose();
      const mask = this.masks.get(layer) as Tensor;
      scope(() => noGrad(() => void value.assign(value.mul(mask))));
    }
  }

  [Symbol.dispose](): void {
    for (const hook of this.hooks.splice(0).reverse()) hook[Symbol.dispose]();
    for (const mask of this.masks.values()) mask.dispose();
    this.masks.clear();
  }

  private watch(layer: Linear): Disposable {
    return onForward(layer, () => {
      if (!this.masks.has(layer)) this.masks.set(layer, nonZero(layer.weight.value));
    });
  }
}

/** f32 like x [rows, columns]: 0 for the `count` smallest of each row, and whatever equals the last of them. */
function smallestMasked(x: Tensor, count: number): Tensor {
  return keep(
    scope(() =>
      noGrad(() => {
        const sizes = x.cast('f32').abs();
        const threshold = sort(sizes).values.slice(1, count - 1, count);
        return sizes.lessEqual(threshold).logicalNot().cast('f32');
      }),
    ),
  );
}
