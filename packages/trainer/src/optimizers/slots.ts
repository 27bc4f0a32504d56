import { keep, noGrad, scope, type Tensor, transfer, withBackend, zeros } from '@frugal/tensor-core';
import type { Parameter } from '@frugal/tensor-core/nn';
import { TrainerError } from '../errors.js';
import { byBackend, movedTo } from '../placement.js';
import type { NamedParameter, Optimizer, Update } from './optimizer.js';

/** A parameter that has a gradient, with the optimizer's tensors for it. */
export interface SlotMember {
  readonly path: string;
  readonly parameter: Parameter;
  readonly value: Tensor;
  readonly gradient: Tensor;
  readonly slots: readonly Tensor[];
}

/**
 * An optimizer that keeps tensors (`slots`) for each parameter, on its backend; they have its shape unless `createSlot` says
 * otherwise.
 */
export abstract class SlotOptimizer implements Optimizer {
  private readonly tensors = new Map<string, Tensor>();

  protected constructor(private readonly slots: readonly string[]) {}

  /**
   * Updates parameters of one backend; runs without recording, in a scope of its own. A parameter changes together with its
   * slots, when all that needs memory is done.
   */
  protected abstract updateAll(members: readonly SlotMember[], update: Update): void;

  /** What a slot holds before the first update. */
  protected createSlot(_slot: string, { shape, backend }: Tensor): Tensor {
    return zeros(shape, { backend });
  }

  step(parameters: readonly NamedParameter[], update: Update): void {
    const members = parameters.flatMap(({ path, parameter }) => {
      const { gradient, value } = parameter;
      return gradient ? [{ path, parameter, value, gradient, slots: this.slotsOf(path, value) }] : [];
    });
    noGrad(() => {
      for (const [backend, part] of byBackend(members, ({ value }) => value)) {
        const here = () => {
          const [scale, finite] = [update.scale, update.finite].map((one) => transfer(one, backend));
          this.updateAll(part, { ...update, scale, finite });
        };
        withBackend(backend, () => scope(here));
      }
    });
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

  private slotsOf(path: string, value: Tensor): Tensor[] {
    return this.slots.map((slot) => {
      const name = `${path}:${slot}`;
      const known = this.tensors.get(name);
      const tensor = keep(known ? movedTo(known, value.backend) : this.createSlot(slot, value));
      this.tensors.set(name, tensor);
      return tensor;
    });
  }
}
