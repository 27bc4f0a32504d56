import { keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { TrainerError } from './errors.js';
import type { NamedParameter } from './optimizers/optimizer.js';
import type { TrainableModel } from './options.js';
import { movedTo } from './placement.js';

export interface WeightAverageOptions {
  /** What is kept of the average in each step, 0 to 1. Default 0.999: about the last thousand steps. */
  readonly decay?: number;
}

/**
 * An exponential moving average of the trained weights (Polyak averaging), which is often better than the last
 * ones: average += (1 - d) · (weight - average), where d = min(decay, (1 + n) / (10 + n)) after n updates, so that
 * early weights are soon forgotten. Give it to `train`, which saves and resumes it; look at it with `use`.
 */
export class WeightAverage {
  readonly decay: number;
  private readonly tensors = new Map<string, Tensor>();
  /** The last update that is in an average, so that one that was broken off can go on. */
  private readonly updates = new Map<string, number>();

  /** @throws TrainerError for a decay out of range */
  constructor({ decay = 0.999 }: WeightAverageOptions = {}) {
    this.decay = decay;
    if (decay >= 0 && decay < 1) return;
    const expected = 'at least 0 and below 1';
    throw new TrainerError({ where: 'WeightAverage', what: 'bad decay', got: String(decay), expected });
  }

  /** Takes the weights after update number `update` (from 1) in, each once; reads nothing back. */
  update(parameters: readonly NamedParameter[], update: number): void {
    const decay = Math.min(this.decay, update / (9 + update));
    noGrad(() => {
      for (const { path, parameter } of parameters) {
        if (this.updates.get(path) === update) continue;
        const known = this.tensors.get(path);
        const average = keep(known ? movedTo(known, parameter.value.backend) : parameter.value.copy());
        this.tensors.set(path, average);
        if (known) scope(() => average.assign(average.add(parameter.value.sub(average).mul(1 - decay))));
        this.updates.set(path, update);
      }
    });
  }

  /**
   * Gives the model the averaged weights until the result is disposed: to evaluate or save it.
   * @throws TrainerError before the first step
   */
  use(model: TrainableModel): Disposable {
    if (this.tensors.size === 0) {
      throw new TrainerError({ where: 'WeightAverage', what: 'there is no average before the first step' });
    }
    const averaged = [...model.namedParameters()].flatMap(([path, parameter]) => {
      const average = this.tensors.get(path);
      return average ? [{ parameter, average }] : [];
    });
    const own = noGrad(() =>
      averaged.map(({ parameter, average }) => {
        const before = keep(parameter.value.copy());
        parameter.value.assign(average);
        return { parameter, before };
      }),
    );
    return {
      [Symbol.dispose]() {
        for (const { parameter, before } of own.splice(0)) {
          noGrad(() => parameter.value.assign(before));
          before.dispose();
        }
      },
    };
  }

  /** Gives the model the averaged weights for good. */
  copyTo(model: TrainableModel): void {
    noGrad(() => {
      for (const [path, parameter] of model.namedParameters()) {
        const average = this.tensors.get(path);
        if (average) parameter.value.assign(average);
      }
    });
  }

  /** By path of the parameter. The tensors stay the average's. */
  state(): ReadonlyMap<string, Tensor> {
    return this.tensors;
  }

  /** Takes over tensors that `state()` gave. */
  load(state: ReadonlyMap<string, Tensor>): void {
    this.dispose();
    for (const [path, tensor] of state) this.tensors.set(path, keep(tensor));
  }

  dispose(): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
    this.tensors.clear();
    this.updates.clear();
  }
}
