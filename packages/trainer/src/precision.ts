import type { FloatDType } from '@frugal/tensor-core';
import { Linear, type Module } from '@frugal/tensor-core/nn';
import type { Precision, TrainableModel } from './options.js';

/** What activations are stored in. */
export function dtypeOf(precision: Precision): FloatDType {
  return precision === 'int8' ? 'bf16' : precision;
}

/** Lets the model compute in `precision`; call the result to give it its own back. */
export function usePrecision(model: TrainableModel, precision: Precision | undefined): () => void {
  const leave: (() => void)[] = [() => clearCopies(model)];
  if (precision !== undefined) {
    const { computeDType } = model;
    model.computeDType = dtypeOf(precision);
    leave.push(() => {
      model.computeDType = computeDType;
    });
  }
  if (precision === 'int8') {
    for (const layer of layersInWholeNumbers(model)) {
      const { products } = layer;
      layer.products = 'int8';
      leave.push(() => {
        layer.products = products;
      });
    }
  }
  return () => {
    for (const each of leave) each();
  };
}

/** All dense layers but the head, whose rounding the loss feels most. */
function layersInWholeNumbers(model: TrainableModel): Linear[] {
  const { head } = model as TrainableModel & { readonly head?: Module };
  return [...model.namedModules()].flatMap(([, module]) =>
    module instanceof Linear && module !== head ? [module] : [],
  );
}

/** Rounded copies of weights are for the run alone: they take memory. */
function clearCopies(model: TrainableModel): void {
  for (const parameter of model.parameters()) parameter.clearCopy();
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
