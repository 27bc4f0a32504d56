import { BackendError, formatShape } from '@frugal/tensor-core';
import type { Allocator } from '../allocator.js';
import { Descriptors } from './descriptors.js';
import type { CFunction, Libraries } from './library.js';
import type { Runtime } from './runtime.js';
import { signatures } from './signatures.js';
import { type AclType, type Address, aclTypes, type Operand, type Scalar } from './types.js';

type Signatures = typeof signatures;
/** An op of CANN, without its prefix `aclnn`. */
export type OperationName = keyof Signatures;

/** Null stands for what an op calls optional. */
interface ArgumentTypes {
  tensor: Operand | null;
  scalar: Scalar;
  intArray: readonly number[] | null;
  tensorList: readonly Operand[] | null;
  bool: boolean;
  dtype: AclType;
  cstr: string;
  i8: number;
  i32: number;
  i64: number;
  f32: number;
  f64: number;
}
type ParameterType = keyof ArgumentTypes;

/** What an op takes, as its signature says: inputs, attributes and outputs. */
export type Arguments<N extends OperationName> = ArgumentsOf<Signatures[N]>;

type ArgumentsOf<P extends readonly ParameterType[]> = { readonly [I in keyof P]: ArgumentTypes[P[I]] };

const cTypes: Readonly<Record<ParameterType, string>> = {
  tensor: 'void *',
  scalar: 'void *',
  intArray: 'void *',
  tensorList: 'void *',
  bool: 'bool',
  dtype: 'int',
  cstr: 'void *',
  i8: 'int8_t',
  i32: 'int',
  i64: 'int64_t',
  f32: 'float',
  f64: 'double',
};

interface Bound {
  readonly parameters: readonly ParameterType[];
  /** Checks its arguments and prepares an executor. */
  readonly prepare: CFunction;
  /** Enqueues it. The executor is gone afterwards, whatever comes of it. */
  readonly launch: CFunction;
}

/** Calls aclnn ops: both phases at once, on the thread that made this object. */
export class Operations {
  private readonly bound = new Map<OperationName, Bound | null>();
  private readonly descriptors: Descriptors;
  /** Where phase 1 writes the size of the workspace and the executor. */
  private readonly result = new BigUint64Array(2);

  constructor(
    private readonly libraries: Libraries,
    private readonly runtime: Runtime,
    private readonly allocator: Allocator,
    private readonly stream: Address,
  ) {
    this.descriptors = new Descriptors(libraries);
  }

  /** Whether this CANN has the op. */
  has(name: OperationName): boolean {
    return this.bind(name) !== null;
  }

  /** @throws BackendError with dtypes and shapes, and its kinds */
  run<N extends OperationName>(name: N, ...inputs: Arguments<N>): void {
    const bound = this.bind(name) ?? missing(name, inputs);
    const call = new Call(this.descriptors, bound.parameters, inputs);
    try {
      const values = call.convert();
      const { result, runtime } = this;
      result[1] = 0n;
      runtime.check(bound.prepare(...values, result, result.subarray(1)), `aclnn${name}`, describe(inputs));
      const [size, executor] = result;
      // The next user of this memory is enqueued after the op: it may be given back at once.
      const workspace = size > 0n ? this.allocator.take(Number(size)) : null;
      const status = bound.launch(workspace?.address ?? null, size, executor, this.stream);
      if (workspace) this.allocator.give(workspace);
      runtime.check(status, `aclnn${name}`, describe(inputs));
    } finally {
      call.destroy();
    }
  }

  private bind(name: OperationName): Bound | null {
    const known = this.bound.get(name);
    if (known !== undefined) return known;
    const parameters: readonly ParameterType[] = signatures[name];
    const types = [...parameters.map((type) => cTypes[type]), 'void *', 'void *'];
    const prepare = this.libraries.find(`aclnn${name}GetWorkspaceSize`, 'int', types);
    const launch = this.libraries.find(`aclnn${name}`, 'int', ['void *', 'uint64_t', 'void *', 'void *']);
    const made = prepare && launch ? { parameters, prepare, launch } : null;
    this.bound.set(name, made);
    return made;
  }
}

/** The descriptors of one call: they must live until phase 2 has returned. */
class Call {
  private readonly made: { readonly how: Parameters<Descriptors['destroy']>[0]; readonly handle: Address }[] =
    [];

  constructor(
    private readonly descriptors: Descriptors,
    private readonly parameters: readonly ParameterType[],
    private readonly inputs: readonly unknown[],
  ) {}

  convert(): unknown[] {
    return this.parameters.map((type, i) => this.convertOne(type, this.inputs[i]));
  }

  destroy(): void {
    for (const { how, handle } of this.made) this.descriptors.destroy(how, handle);
  }

  private convertOne(type: ParameterType, input: unknown): unknown {
    if (input === null) return null;
    const { descriptors } = this;
    switch (type) {
      case 'tensor':
        return this.keep('aclDestroyTensor', descriptors.tensor(input as Operand));
      case 'scalar':
        return this.keep('aclDestroyScalar', descriptors.scalar(input as Scalar));
      case 'intArray':
        return this.keep('aclDestroyIntArray', descriptors.intArray(input as number[]));
      case 'tensorList':
        return this.list(input as Operand[]);
      case 'dtype':
        return aclTypes[input as AclType];
      case 'cstr':
        return textOf(input as string);
      default:
        return input;
    }
  }

  private list(operands: readonly Operand[]): Address {
    const before = this.made.length;
    const tensors = operands.map((operand) =>
      this.keep('aclDestroyTensor', this.descriptors.tensor(operand)),
    );
    const list = this.descriptors.tensorList(tensors);
    if (list !== null) this.made.length = before; // they are the list's now
    return this.keep('aclDestroyTensorList', list);
  }

  private keep(how: Parameters<Descriptors['destroy']>[0], handle: Address | null): Address {
    if (handle === null)
      throw new BackendError({
        where: 'ascend backend',
        what: 'CANN makes no descriptor',
        got: describe(this.inputs),
      });
    this.made.push({ how, handle });
    return handle;
  }
}

const texts = new Map<string, Buffer>();

/** A string for C that is never freed: nobody says whether ops copy theirs. */
function textOf(text: string): Buffer {
  const known = texts.get(text);
  if (known) return known;
  const made = Buffer.from(`${text}\0`);
  texts.set(text, made);
  return made;
}

function isOperand(input: unknown): input is Operand {
  return typeof input === 'object' && input !== null && 'strides' in input;
}

/** `f32 [2, 3], i32 []` */
function describe(inputs: readonly unknown[]): string {
  const operands = inputs.flat().filter(isOperand);
  return operands.map(({ type, shape }) => `${type} ${formatShape(shape)}`).join(', ');
}

function missing(name: OperationName, inputs: readonly unknown[]): never {
  throw new BackendError({
    where: `ascend backend, aclnn${name}`,
    what: 'this CANN does not have the op',
    got: describe(inputs),
    hint: 'Install CANN 8.1 or newer, with the ops and kernels packages for this NPU.',
  });
}
