import type { FloatDType } from '@frugal/tensor-core';
import type { TrainableModel } from './options.js';

/** Lets the model compute in `precision`; call the result to give it its own dtype back. */
export function usePrecision(model: TrainableModel, precision: FloatDType | undefined): () => void {
  const before = model.computeDType;
  if (precision === undefined) return () => {};
  model.computeDType = precision;
  return () => {
    model.computeDType = before;
  };
}

const INITIAL_SCALE = 1024;
const SMALLEST_SCALE = 2 ** -14;
const STEPS_UNTIL_GROWTH = 1000;

/**
 * The factor that keeps f16 gradients in range (Micikevicius et al. 2018): halved when a step overflows, doubled
 * after 1000 steps that did not. Always 1 for the other dtypes.
 */
export class LossScale {
  private goodSteps = 0;

  constructor(
    readonly isDynamic: boolean,
    public value = isDynamic ? INITIAL_SCALE : 1,
  ) {}

  state(): { readonly value: number; readonly goodSteps: number } {
    return { value: this.value, goodSteps: this.goodSteps };
  }

  restore({ value, goodSteps }: { readonly value: number; readonly goodSteps: number }): void {
    if (!this.isDynamic) return;
    this.value = value;
    this.goodSteps = goodSteps;
  }

  /** Takes the outcome of a step into account; false when scaling cannot help any more. */
  adjust(wasFinite: boolean): boolean {
    if (!this.isDynamic) return wasFinite;
    this.goodSteps = wasFinite ? this.goodSteps + 1 : 0;
    if (!wasFinite) this.value /= 2;
    else if (this.goodSteps % STEPS_UNTIL_GROWTH === 0) this.value *= 2;
    return this.value >= SMALLEST_SCALE;
  }
}
