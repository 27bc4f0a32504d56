import { keep, noGrad, scope, type Tensor, zeros } from '@frugal/tensor-core';
import { TrainerError } from '../errors.js';
import type { NamedParameter, Optimizer, Update } from './optimizer.js';

/** An optimizer that treats every parameter alone and keeps tensors of the parameter's shape (`slots`) for each. */
export abstract class SlotOptimizer implements Optimizer {
  private readonly tensors = new Map<string, Tensor>();

  protected constructor(private readonly slots: readonly string[]) {}

  /** Updates one parameter; runs without recording, in a scope of its own. */
  protected abstract update(
    parameter: Tensor,
    gradient: Tensor,
    slots: readonly Tensor[],
    update: Update,
  ): void;

  step(parameters: readonly NamedParameter[], update: Update): void {
    for (const { path, parameter } of parameters) {
      const { gradient, value } = parameter;
      if (gradient)
        noGrad(() => scope(() => this.update(value, gradient, this.slotsOf(path, value), update)));
    }
  }

  state(): ReadonlyMap<string, Tensor> {
    return this.tensors;
  }

  load(state: ReadonlyMap<string, Tensor>): void {
    const unknown = [...state.keys()].find((name) => !this.slots.some((slot) => name.endsWith(`:${slot}`)));
    if (unknown !== undefined) {
      throw new TrainerError({
        where: 'optimizer',
        what: 'the saved state is not of this optimizer',
        got: unknown,
        expected: `names that end in ${this.slots.map((slot) => `:${slot}`).join(' or ') || 'nothing: it has no state'}`,
        hint: 'Resume with the optimizer that the run was started with.',
      });
    }
    this.dispose();
    for (const [name, tensor] of state) this.tensors.set(name, keep(tensor));
  }

  dispose(): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
    this.tensors.clear();
  }

  private slotsOf(path: string, { shape, backend }: Tensor): Tensor[] {
    return this.slots.map((slot) => {
      const name = `${path}:${slot}`;
      const tensor = this.tensors.get(name) ?? keep(zeros(shape, { backend }));
      this.tensors.set(name, tensor);
      return tensor;
    });
  }
}
