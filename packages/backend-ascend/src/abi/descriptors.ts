import type { CFunction, Libraries } from './library.js';
import { type Address, aclTypes, FORMAT_ND, type Operand, type Scalar } from './types.js';

type Destroy = 'aclDestroyTensor' | 'aclDestroyScalar' | 'aclDestroyIntArray' | 'aclDestroyTensorList';

const CREATE_TENSOR = [
  ...['void *', 'uint64_t', 'int', 'void *', 'int64_t', 'int'],
  ...['void *', 'uint64_t', 'void *'],
];

/** libnnopbase: what ops get in the place of tensors, numbers and lists. Each must be destroyed after its op was enqueued. */
export class Descriptors {
  private readonly createTensor: CFunction;
  private readonly createScalar: CFunction;
  private readonly createIntArray: CFunction;
  private readonly createTensorList: CFunction;
  private readonly destroyers: Readonly<Record<Destroy, CFunction>>;

  constructor(libraries: Libraries) {
    this.createTensor = libraries.function('aclCreateTensor', 'void *', CREATE_TENSOR);
    this.createScalar = libraries.function('aclCreateScalar', 'void *', ['void *', 'int']);
    this.createIntArray = libraries.function('aclCreateIntArray', 'void *', ['void *', 'uint64_t']);
    this.createTensorList = libraries.function('aclCreateTensorList', 'void *', ['void *', 'uint64_t']);
    const destroyer = (name: Destroy) => libraries.function(name, 'int', ['void *']);
    this.destroyers = {
      aclDestroyTensor: destroyer('aclDestroyTensor'),
      aclDestroyScalar: destroyer('aclDestroyScalar'),
      aclDestroyIntArray: destroyer('aclDestroyIntArray'),
      aclDestroyTensorList: destroyer('aclDestroyTensorList'),
    };
  }

  destroy(how: Destroy, handle: Address): void {
    this.destroyers[how](handle);
  }

  /** Null, as all that is created here, when CANN refuses. */
  tensor({ address, type, shape, strides, offset, storage }: Operand): Address | null {
    const [dims, steps] = [whole(shape), whole(strides)];
    const dtype = aclTypes[type];
    const size = BigInt64Array.of(BigInt(storage));
    return this.createTensor(...[dims, shape.length, dtype, steps, offset, FORMAT_ND], ...[size, 1, address]);
  }

  scalar({ number, type }: Scalar): Address | null {
    const value = type === 'f64' ? Float64Array.of(number) : BigInt64Array.of(BigInt(number));
    return this.createScalar(value, aclTypes[type]);
  }

  intArray(numbers: readonly number[]): Address | null {
    return this.createIntArray(whole(numbers), numbers.length);
  }

  /** Owns the tensors that it is given: they go with it. */
  tensorList(tensors: readonly Address[]): Address | null {
    return this.createTensorList(BigUint64Array.from(tensors), tensors.length);
  }
}

function whole(numbers: readonly number[]): BigInt64Array {
  const array = new BigInt64Array(numbers.length);
  for (let i = 0; i < numbers.length; i++) array[i] = BigInt(numbers[i]);
  return array;
}
