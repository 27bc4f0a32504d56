import type { Backend, TensorInfo } from '../backend.js';
import { dispatch, hasKernel } from '../dispatch.js';
import { isFloating } from '../dtype.js';
import { weightedSum } from '../gradcheck.js';
import type { OpDefinition } from '../ops/definition.js';
import { operations } from '../ops/index.js';
import { type OpName, primitiveOps } from '../ops/specs.js';
import { withBackend } from '../registry.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import type { ConformanceCase } from './case.js';
import type { Values } from './compare.js';
import { buildInput } from './generate.js';

export function definitionOf(op: OpName): OpDefinition<OpName> {
  return operations[op] as unknown as OpDefinition<OpName>;
}

export function isPrimitive(op: OpName): boolean {
  return (primitiveOps as readonly OpName[]).includes(op);
}

/** Why this backend is not asked to run a case; null when it is. */
export function whySkipped(
  { op, inputs, attributes }: ConformanceCase,
  { capabilities, kernels, ...backend }: Backend,
): string | null {
  const outputs = definitionOf(op).infer(inputs, attributes);
  const missing = [...inputs, ...outputs].find(({ dtype }: TensorInfo) => !capabilities.dtypes.has(dtype));
  if (missing) return `no ${missing.dtype}`;
  const refused = kernels[op] && backend.supports?.(op, inputs, attributes) === false;
  return refused && isPrimitive(op) ? 'refused by supports()' : null;
}

async function read(tensor: Tensor): Promise<Values> {
  const numbers = tensor.dtype === 'i32' ? await tensor.toInt32() : await tensor.toFloat32();
  return { shape: tensor.shape, dtype: tensor.dtype, numbers };
}

async function readAll(tensors: readonly Tensor[]): Promise<Values[]> {
  const values: Values[] = [];
  for (const tensor of tensors) values.push(await read(tensor));
  return values;
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

export interface Evaluation {
  readonly outputs: readonly Values[];
  /** The inputs after the op, with all that lies around a view in their storages. */
  readonly inputs: readonly Values[];
}

/** Runs one case and reads everything back. */
export async function evaluate(conformanceCase: ConformanceCase, backend: Backend): Promise<Evaluation> {
  const { op, inputs, attributes } = conformanceCase;
  const tensors = scope(() => {
    const built = inputs.map((_, index) => buildInput(conformanceCase, index, backend));
    const views = built.map((input) => input.look());
    const outputs = runOn(backend, op, views, attributes).map((output) => output.detach());
    return { outputs, stored: built.map(({ stored }) => stored) };
  });
  const evaluation = { outputs: await readAll(tensors.outputs), inputs: await readAll(tensors.stored) };
  disposeAll([...tensors.outputs, ...tensors.stored]);
  return evaluation;
}

/** Gradients of a weighted sum of the outputs, per input; null where none flows. */
export async function evaluateGradients(
  conformanceCase: ConformanceCase,
  backend: Backend,
): Promise<(Values | null)[]> {
  const { op, inputs, attributes } = conformanceCase;
  const stored = scope(() => {
    const built = inputs.map((spec, index) => {
      const input = buildInput(conformanceCase, index, backend);
      input.stored.setRequiresGrad(!spec.constant && isFloating(spec.dtype));
      return input;
    });
    const views = built.map((input) => input.look());
    weightedSum(runOn(backend, op, views, attributes), 0)?.backward();
    return built.map((input) => input.stored);
  });
  const gradients: (Values | null)[] = [];
  for (const { grad } of stored) gradients.push(grad && (await read(grad)));
  disposeAll(stored.flatMap((tensor) => (tensor.grad ? [tensor.grad, tensor] : [tensor])));
  return gradients;
}

function runOn(
  backend: Backend,
  op: OpName,
  inputs: readonly Tensor[],
  attributes: ConformanceCase['attributes'],
): readonly Tensor[] {
  return withBackend(backend, () => dispatch(op, inputs, attributes));
}

/** Whether `backend` has its own kernel for a case. */
export function runsNatively({ op, inputs, attributes }: ConformanceCase, backend: Backend): boolean {
  return hasKernel(backend, op, inputs, attributes);
}
