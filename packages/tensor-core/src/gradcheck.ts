import { tensor } from './creation.js';
import { ArgumentError, FrugalError } from './errors.js';
import { scope } from './scope.js';
import { formatShape } from './shape.js';
import { noGrad } from './tape.js';
import type { Tensor } from './tensor.js';

/** A gradient that finite differences do not confirm. */
export class GradientError extends FrugalError {}

export interface GradcheckOptions {
  /** Distance of the points at which `fn` is evaluated. Default 0.02: f32 has few digits. */
  readonly step?: number;
  /** Allowed |difference| per max(1, |gradient|). Default 1e-3. */
  readonly tolerance?: number;
  /** Draws the weights of the outputs. */
  readonly seed?: number;
  /** Named in messages. */
  readonly name?: string;
}

type Differentiable = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

/**
 * Compares the gradients of `fn` with finite differences of fourth order, element by element, for every f32 input
 * with `requiresGrad`. The loss is a random weighted sum of all outputs that carry gradients, added up in f64. `fn`
 * must be smooth within 2 · step of the inputs and must use only the tensors that it is given.
 * @throws GradientError with the input, the element and both numbers
 */
export async function gradcheck(
  fn: Differentiable,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<void> {
  const { step = 0.02, tolerance = 1e-3, seed = 0, name = 'gradcheck' } = options;
  const checked = inputs.flatMap((input, i) => (input.requiresGrad ? [i] : []));
  if (checked.length === 0 || checked.some((i) => inputs[i].dtype !== 'f32')) {
    throw new ArgumentError({
      where: name,
      what: 'needs at least one f32 input with requiresGrad, and none of another dtype',
      got: inputs
        .map(({ dtype, requiresGrad }) => `${dtype}${requiresGrad ? ' with gradient' : ''}`)
        .join(', '),
    });
  }
  const analytic = await gradients(fn, inputs, checked, seed);
  for (const i of checked) {
    const values = await inputs[i].toFloat32();
    const gradient = analytic.ofInput.get(i);
    const evaluate = (element: number, offset: number) =>
      valueAt(fn, inputs, { input: i, values, element, offset }, analytic.differentiable, seed);
    for (let element = 0; element < values.length; element++) {
      const near = (await evaluate(element, step)) - (await evaluate(element, -step));
      const far = (await evaluate(element, 2 * step)) - (await evaluate(element, -2 * step));
      const numeric = (8 * near - far) / (12 * step);
      const got = gradient ? gradient[element] : 0;
      if (Math.abs(got - numeric) <= tolerance * Math.max(1, Math.abs(numeric))) continue;
      throw new GradientError({
        where: name,
        what: `the gradient of element ${element} of input ${i} ${formatShape(inputs[i].shape)} is wrong`,
        got: String(got),
        expected: `${numeric} (finite differences)`,
      });
    }
  }
}

/** Uniform numbers in [0, 1) for test data: SplitMix32, of which no more is asked than to be quick and repeatable. */
export function uniformStream(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 8) * 2 ** -24;
  };
}

/** The weights in the loss of the elements of output `output`: f32 numbers in [-1, 1). */
function weightsOf(seed: number, output: number, size: number): Float32Array {
  const random = uniformStream(seed + 1000 * output);
  return Float32Array.from({ length: size }, () => 2 * random() - 1);
}

function listOf(result: Tensor | readonly Tensor[]): readonly Tensor[] {
  return Array.isArray(result) ? result : [result as Tensor];
}

/** Σ of all elements of the outputs that carry gradients, times their weights. Null when none does. */
export function weightedSum(outputs: readonly Tensor[], seed: number): Tensor | null {
  let total: Tensor | null = null;
  outputs.forEach((output, k) => {
    if (!output.requiresGrad) return;
    const weights = weightsOf(seed, k, output.size);
    const part = output
      .cast('f32')
      .mul(tensor(weights, { shape: output.shape, backend: output.backend }))
      .sum();
    total = total ? total.add(part) : part;
  });
  return total;
}

async function gradients(
  fn: Differentiable,
  inputs: readonly Tensor[],
  checked: readonly number[],
  seed: number,
) {
  const { leaves, differentiable } = scope(() => {
    const leaves = inputs.map((input, i) => input.detach().setRequiresGrad(checked.includes(i)));
    const outputs = listOf(fn(...leaves));
    weightedSum(outputs, seed)?.backward();
    return { leaves, differentiable: outputs.map(({ requiresGrad }) => requiresGrad) };
  });
  const ofInput = new Map<number, Float32Array>();
  for (const i of checked) {
    const { grad } = leaves[i];
    if (grad) ofInput.set(i, await grad.toFloat32());
  }
  for (const leaf of leaves) {
    leaf.grad?.dispose();
    leaf.dispose();
  }
  return { ofInput, differentiable };
}

interface Change {
  readonly input: number;
  readonly values: Float32Array;
  readonly element: number;
  readonly offset: number;
}

/** The loss with one element of one input moved. */
async function valueAt(
  fn: Differentiable,
  inputs: readonly Tensor[],
  { input, values, element, offset }: Change,
  differentiable: readonly boolean[],
  seed: number,
): Promise<number> {
  const moved = values.slice();
  moved[element] += offset;
  const outputs = scope(() =>
    noGrad(() => {
      const { shape, backend } = inputs[input];
      const replaced = tensor(moved, { shape, backend });
      return listOf(fn(...inputs.map((other, i) => (i === input ? replaced : other)))).map((output) =>
        output.detach(),
      );
    }),
  );
  let total = 0;
  for (const [k, output] of outputs.entries()) {
    if (differentiable[k]) {
      const weights = weightsOf(seed, k, output.size);
      for (const [i, value] of (await output.toFloat32()).entries()) total += value * weights[i];
    }
    output.dispose();
  }
  return total;
}
