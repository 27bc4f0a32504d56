import { type FloatDType, type Tensor, tensor } from '@frugal/tensor-core';
import { Linear, type LinearLike, type Module, Parameter } from '@frugal/tensor-core/nn';

/** The dtype of a dense weight; null when it is packed. The weight of an expert lies in the stack above it. */
export function denseDType(model: Module, path: string, base: LinearLike): FloatDType | null {
  if (base instanceof Linear) return base.weight.value.dtype as FloatDType;
  return (stackOf(model, path, base)?.weight.value.dtype as FloatDType | undefined) ?? null;
}

/** Gives a dense layer another weight [F, C], in place. */
export function writeWeight(model: Module, path: string, base: LinearLike, weight: Tensor): void {
  if (base instanceof Linear) {
    base.weight.value.assign(weight.cast(base.weight.value.dtype));
    return;
  }
  const { weight: stack, expert } = stackOf(model, path, base) as Stack;
  const index = tensor(Int32Array.of(expert), { backend: stack.value.backend });
  stack.value.writeRows(index, weight.cast(stack.value.dtype).reshape(1, ...weight.shape));
}

/** Whether the weight of a layer is that of another module as well: a head that is its model's embedding. */
export function isTied(model: Module, path: string): boolean {
  const { ties = [] } = model as {
    readonly ties?: readonly { readonly path: string; readonly source: string }[];
  };
  return ties.some((tie) => [tie.path, tie.source].includes(`${path}.weight`));
}

interface Stack {
  /** [E, F, C]. */
  readonly weight: Parameter;
  readonly expert: number;
}

function stackOf(model: Module, path: string, base: LinearLike): Stack | null {
  const [, stack, expert] = /^(.*)\.sites\.(\d+)$/.exec(path) ?? [];
  const weight = stack === undefined ? null : (model.module(stack) as { weight?: unknown }).weight;
  const isOwn = weight instanceof Parameter && [...base.members()].length === 0 && !('weight' in base);
  return isOwn ? { weight, expert: Number(expert) } : null;
}
