import { StackedLinear } from '@frugal/moe';
import { noGrad, type Shape, scope, type Tensor, tensor, zeros } from '@frugal/tensor-core';
import { Buffer, type Model, type Parameter } from '@frugal/tensor-core/nn';

/** What a file holds as one tensor: a parameter, a buffer, or one expert of a stack. */
export interface DensePart {
  readonly shape: Shape;
  /** Whether it stays f32 in a model of another dtype: the balancing bias of a router. */
  readonly isBuffer: boolean;
  /** Whether it lies in the memory of its stack. */
  readonly isOfStack: boolean;
  /** The value as it is now, which the caller disposes. */
  current(): Tensor;
  /** Puts the value where it belongs, and takes it over. */
  place(value: Tensor): void;
}

/**
 * All parameters and buffers of a model by path, each once. A stack of experts is one entry where `nameOf` has a name for
 * it, else one for each expert (`….sites.3.weight`) that still uses the stack.
 */
export function denseParts(
  model: Model,
  nameOf: (path: string) => string | undefined,
): Map<string, DensePart> {
  const stacks = new Map<unknown, readonly [path: string, stack: StackedLinear]>();
  for (const [path, module] of model.namedModules())
    if (module instanceof StackedLinear && module.weight) stacks.set(module.weight, [path, module]);
  const parts = new Map<string, DensePart>();
  for (const [path, holder] of [...model.namedParameters(), ...model.namedBuffers()]) {
    const stack = nameOf(path) === undefined ? stacks.get(holder) : undefined;
    if (!stack) parts.set(path, whole(holder));
    else
      for (const [e, site] of stack[1].sites.entries())
        if (stack[1].holds(site)) parts.set(`${stack[0]}.sites.${e}.weight`, expert(holder, e));
  }
  return parts;
}

function whole(holder: Parameter | Buffer): DensePart {
  return {
    shape: holder.shape,
    isBuffer: holder instanceof Buffer,
    isOfStack: false,
    current: () => holder.value.detach(),
    place(value) {
      holder.value = value;
    },
  };
}

function expert(stack: Parameter | Buffer, index: number): DensePart {
  const [E, F, C] = stack.shape;
  return {
    shape: [F, C],
    isBuffer: false,
    isOfStack: true,
    current: () => stack.value.slice(0, index, index + 1).reshape(F, C),
    place(value) {
      const { backend, dtype } = value;
      // The first expert that arrives brings the memory for all.
      if (stack.value.backend !== backend || stack.value.dtype !== dtype)
        stack.value = zeros([E, F, C], { dtype, backend });
      scope(() =>
        noGrad(() =>
          stack.value.writeRows(tensor(Int32Array.of(index), { backend }), value.reshape(1, F, C)),
        ),
      );
      value.dispose();
    },
  };
}
