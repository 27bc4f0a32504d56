import type { Backend, TensorInfo, TensorView } from './backend.js';
import { observer } from './debug.js';
import { bytesPerElement } from './dtype.js';
import { BackendError, DTypeError, IndexError, LifetimeError } from './errors.js';
import { allocateStorage } from './memory.js';
import { mutatedInputs, type OpDefinition } from './ops/definition.js';
import { operations } from './ops/index.js';
import type { OpName, OpSpecs } from './ops/specs.js';
import { currentBackend, withBackend } from './registry.js';
import { rehearsedOutputs } from './rehearsal.js';
import { scope } from './scope.js';
import { contiguousStrides, formatShape, isContiguous, sizeOf } from './shape.js';
import { mustRecord, noGrad, recordOp } from './tape.js';
import { Tensor } from './tensor.js';

/**
 * The only way to run an op: infer shapes → kernel of the backend, or decomposition → record on the tape.
 * @throws ShapeError, DTypeError, AxisError, IndexError before any kernel runs; BackendError for a missing kernel
 */
export function dispatch<N extends OpName>(
  op: N,
  inputs: readonly Tensor[],
  attributes: OpSpecs[N],
): readonly Tensor[] {
  const backend = commonBackend(op, inputs);
  const definition = operations[op] as OpDefinition<N>;
  const infos = definition.infer(inputs, attributes);
  if (definition.view) {
    const { strides, offset } = definition.view(inputs[0], attributes);
    const output = inputs[0].viewAs(infos[0].shape, strides, offset);
    if (definition.vjp && mustRecord(inputs)) recordOp(op, definition.vjp, inputs, [output], attributes);
    return [output];
  }
  if (definition.indices) checkIndices(backend, op, definition, inputs, attributes);
  if (definition.mutates) checkMutation(op, inputs, mutatedInputs(definition, inputs, attributes));
  const { depth } = definition;
  const outputs = depth
    ? rehearsedOutputs(
        op,
        () => compute(backend, op, definition, inputs, infos, attributes),
        () => depth(inputs, attributes),
      )
    : compute(backend, op, definition, inputs, infos, attributes);
  if (definition.vjp && mustRecord(inputs)) recordOp(op, definition.vjp, inputs, outputs, attributes);
  return outputs;
}

/** Runs an op without inputs on `backend`, or on the current one. */
export function dispatchOn<N extends OpName>(
  backend: Backend | undefined,
  op: N,
  attributes: OpSpecs[N],
): Tensor {
  const run = () => dispatch(op, [], attributes)[0];
  return backend ? withBackend(backend, run) : run();
}

/** Runs an op with a single output. */
export function run<N extends OpName>(op: N, inputs: readonly Tensor[], attributes: OpSpecs[N]): Tensor {
  return dispatch(op, inputs, attributes)[0];
}

/** Whether `backend` runs this case of an op itself; otherwise core decomposes it. */
export function hasKernel<N extends OpName>(
  backend: Backend,
  op: N,
  inputs: readonly TensorInfo[],
  attributes: OpSpecs[N],
): boolean {
  if (!backend.kernels[op]) return false;
  return backend.supports ? backend.supports(op, inputs, attributes) : true;
}

function compute<N extends OpName>(
  backend: Backend,
  op: N,
  definition: OpDefinition<N>,
  inputs: readonly Tensor[],
  infos: readonly TensorInfo[],
  attributes: OpSpecs[N],
): readonly Tensor[] {
  return hasKernel(backend, op, inputs, attributes)
    ? runKernel(backend, op, definition, inputs, infos, attributes)
    : decompose(backend, op, definition, inputs, attributes);
}

function runKernel<N extends OpName>(
  backend: Backend,
  op: N,
  definition: OpDefinition<N>,
  inputs: readonly Tensor[],
  infos: readonly TensorInfo[],
  attributes: OpSpecs[N],
): readonly Tensor[] {
  const missing = infos.find(({ dtype }) => !backend.capabilities.dtypes.has(dtype));
  if (missing) {
    throw new DTypeError({
      where: op,
      what: `the ${backend.name} backend has no ${missing.dtype}`,
      got: `${describeInputs(inputs)} to ${missing.dtype} ${formatShape(missing.shape)}`,
      expected: [...backend.capabilities.dtypes].join(', '),
    });
  }
  const outputs = infos.map((info) => allocate(backend, info));
  launch(backend, op, inputs, outputs, attributes);
  if (definition.mutates)
    for (const i of mutatedInputs(definition, inputs, attributes)) inputs[i].storage.version++;
  return outputs;
}

function describeInputs(inputs: readonly TensorInfo[]): string {
  return inputs.map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`).join(', ') || 'no inputs';
}

function allocate(backend: Backend, { shape, dtype }: TensorInfo): Tensor {
  const storage = allocateStorage(backend, sizeOf(shape) * bytesPerElement(dtype));
  return new Tensor(storage, shape, contiguousStrides(shape), 0, dtype);
}

function launch<N extends OpName>(
  backend: Backend,
  op: N,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  attributes: OpSpecs[N],
): void {
  const kernel = backend.kernels[op] as (
    i: readonly TensorView[],
    o: readonly TensorView[],
    a: OpSpecs[N],
  ) => void;
  const { strided } = backend.capabilities;
  const views = strided === 'all' || strided.has(op) ? inputs : inputs.map(contiguousHandle);
  if (observer.current)
    observer.current(op, views, outputs, attributes, () => kernel(views, outputs, attributes));
  else kernel(views, outputs, attributes);
  for (const [i, view] of views.entries()) if (view !== inputs[i]) view.dispose();
}

function contiguousHandle(tensor: Tensor): Tensor {
  return isContiguous(tensor.shape, tensor.strides) ? tensor : noGrad(() => run('copy', [tensor], {}));
}

/** An op with a gradient rule keeps that rule, so that gradients do not depend on which kernels a backend has. */
function decompose<N extends OpName>(
  backend: Backend,
  op: N,
  definition: OpDefinition<N>,
  inputs: readonly Tensor[],
  attributes: OpSpecs[N],
): readonly Tensor[] {
  const parts = definition.decompose;
  if (!parts) {
    throw new BackendError({
      where: op,
      what: `the ${backend.name} backend cannot run this op`,
      got: describeInputs(inputs),
      hint: 'Move the tensors to another backend, or cast them to a dtype that it supports.',
    });
  }
  const outputs = () => withBackend(backend, () => scope(() => parts(inputs, attributes)));
  if (!definition.vjp) return outputs();
  return noGrad(outputs).map((output) => (inputs.includes(output) ? output.detach() : output));
}

function commonBackend(op: OpName, inputs: readonly Tensor[]): Backend {
  if (inputs.length === 0) return currentBackend();
  const { backend } = inputs[0].storage;
  for (const input of inputs) {
    if (input.disposed) {
      throw new LifetimeError({
        where: op,
        what: `an input ${formatShape(input.shape)} was already disposed`,
        hint: 'Return it from the scope() that made it, or keep() it.',
      });
    }
    if (input.storage.backend !== backend) {
      throw new BackendError({
        where: op,
        what: 'inputs live on different backends',
        got: inputs.map((i) => i.storage.backend.name).join(', '),
        hint: 'Move one with await tensor.to(backend).',
      });
    }
  }
  return backend;
}

function checkMutation(op: OpName, inputs: readonly Tensor[], mutated: readonly number[]): void {
  for (const i of mutated) {
    const target = inputs[i];
    if (mustRecord([target])) {
      throw new LifetimeError({
        where: op,
        what: 'changes a tensor that requires gradients in place',
        hint: 'Run it inside noGrad().',
      });
    }
    if (!isContiguous(target.shape, target.strides)) {
      throw new LifetimeError({
        where: op,
        what: 'the target of a mutation must be contiguous',
        got: formatShape(target.shape),
      });
    }
  }
}

function checkIndices<N extends OpName>(
  backend: Backend,
  op: N,
  definition: OpDefinition<N>,
  inputs: readonly Tensor[],
  attributes: OpSpecs[N],
): void {
  if (!backend.readSync || backend.capabilities.memory !== 'host' || !definition.indices) return;
  for (const { input, limit, allow } of definition.indices(inputs, attributes)) {
    const bytes = backend.readSync(inputs[input]);
    const values = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const bad = values.findIndex((value) => (value < 0 || value >= limit) && value !== allow);
    if (bad < 0) continue;
    throw new IndexError({
      where: op,
      what: 'index out of range',
      got: `${values[bad]} at position ${bad} of ${formatShape(inputs[input].shape)}, input shapes ${inputs.map((i) => formatShape(i.shape)).join(' and ')}`,
      expected: `0 to ${limit - 1}${allow === undefined ? '' : ` or ${allow}`}`,
    });
  }
}
