import { sizeOf } from '@frugal/tensor-core';
import { type Attribute, attribute, type Binding, type TfType, tfTypes, type Value } from './binding.js';
import { explainFailure } from './failures.js';

const NONE: readonly Attribute[] = [];

/** Small tensors kept for reuse: shapes, axes, numbers. More than any model needs; then all are made anew. */
const MAX_CONSTANTS = 4096;

const castAttributes = new Map<TfType, readonly Attribute[]>();

function attributesOnce(name: 'DstT' | 'type', type: TfType): readonly Attribute[] {
  const key = `${name} ${type}` as TfType;
  const known = castAttributes.get(key) ?? [attribute.type(name, type)];
  castAttributes.set(key, known);
  return known;
}

/**
 * Runs TensorFlow's ops one by one. What they give lives until the end of the innermost {@link Device.frame}, but for
 * values that were taken out of it.
 */
export class Device {
  private temporaries: Value[] = [];
  private readonly constants = new Map<string, Value>();

  constructor(readonly binding: Binding) {}

  /** Runs `work` and deletes the values made in it, but for those that {@link take} took. */
  frame<T>(work: () => T): T {
    const outer = this.temporaries;
    this.temporaries = [];
    try {
      return work();
    } finally {
      for (const { id } of this.temporaries) this.binding.deleteTensor(id);
      this.temporaries = outer;
    }
  }

  /** A value that outlives the frame: this one if it was made in it, else another handle of the same memory. */
  take(value: Value): Value {
    const at = this.temporaries.lastIndexOf(value);
    if (at < 0) return this.take(this.run('Identity', [value]));
    this.temporaries.splice(at, 1);
    return value;
  }

  delete(value: Value): void {
    this.binding.deleteTensor(value.id);
  }

  /** All outputs of an op. @throws BackendError, DeviceMemoryError, DeviceLostError */
  runAll(
    name: string,
    inputs: readonly Value[],
    outputs: number,
    attributes: readonly Attribute[] = NONE,
  ): Value[] {
    const ids = new Array<number>(inputs.length);
    for (let i = 0; i < ids.length; i++) ids[i] = inputs[i].id;
    let values: Value[];
    try {
      values = this.binding.executeOp(name, attributes, ids, outputs);
    } catch (error) {
      throw explainFailure(name, inputs, error as Error);
    }
    for (let i = 0; i < values.length; i++) this.temporaries.push(values[i]);
    return values;
  }

  /** The only output of an op. */
  run(name: string, inputs: readonly Value[], attributes?: readonly Attribute[]): Value {
    return this.runAll(name, inputs, 1, attributes)[0];
  }

  /** Makes a tensor from host numbers, in this frame. `values` must not be changed afterwards. */
  create(shape: readonly number[], type: TfType, values: Float32Array | Int32Array | Uint8Array): Value {
    let id: number;
    try {
      id = this.binding.createTensor(shape, tfTypes[type], values);
    } catch (error) {
      throw explainFailure('upload', [{ shape, dtype: tfTypes[type] }], error as Error);
    }
    const value = { id, shape, dtype: tfTypes[type] };
    this.temporaries.push(value);
    return value;
  }

  /** An i32 vector that is kept: a shape, axes, a permutation. */
  vector(numbers: readonly number[]): Value {
    return this.constant(numbers.join(), () =>
      this.create([numbers.length], 'i32', Int32Array.from(numbers)),
    );
  }

  /** A number without axes, kept: i32 as it is, others rounded to f32 and then to `type`. */
  scalar(number: number, type: TfType): Value {
    return this.constant(`${type} ${Object.is(number, -0) ? '-0' : number}`, () => {
      if (type === 'i32') return this.create([], 'i32', Int32Array.of(number));
      return this.cast(this.create([], 'f32', Float32Array.of(number)), type);
    });
  }

  /** A value that is kept under a name: tables and the like. */
  constant(key: string, make: () => Value): Value {
    const known = this.constants.get(key);
    if (known) return known;
    if (this.constants.size >= MAX_CONSTANTS) this.clearConstants();
    const made = this.frame(() => this.take(make()));
    this.constants.set(key, made);
    return made;
  }

  clearConstants(): void {
    // Not deleted at once: the kernel that runs now may hold one of them.
    this.temporaries.push(...this.constants.values());
    this.constants.clear();
  }

  cast(value: Value, type: TfType): Value {
    return value.dtype === tfTypes[type] ? value : this.run('Cast', [value], attributesOnce('DstT', type));
  }

  /** The same bytes as another type. The last axis grows or shrinks when sizes differ. */
  bitcast(value: Value, type: TfType): Value {
    return value.dtype === tfTypes[type] ? value : this.run('Bitcast', [value], attributesOnce('type', type));
  }

  reshape(value: Value, shape: readonly number[]): Value {
    if (sameSizes(value.shape, shape)) return value;
    return this.run('Reshape', [value, this.vector(shape)]);
  }

  transpose(value: Value, axes: readonly number[]): Value {
    return axes.every((axis, i) => axis === i) ? value : this.run('Transpose', [value, this.vector(axes)]);
  }

  slice(value: Value, begin: readonly number[], size: readonly number[]): Value {
    return sameSizes(value.shape, size)
      ? value
      : this.run('Slice', [value, this.vector(begin), this.vector(size)]);
  }

  fill(shape: readonly number[], number: number, type: TfType): Value {
    return this.run('Fill', [this.vector(shape), this.scalar(number, type)]);
  }

  concat(values: readonly Value[], axis: number): Value {
    if (values.length === 1) return values[0];
    const type = { name: 'T', type: 4, value: values[0].dtype };
    return this.run(
      'ConcatV2',
      [...values, this.scalar(axis, 'i32')],
      [attribute.int('N', values.length), type],
    );
  }

  /** Waits for `value`. */
  download(value: Value): Float32Array | Int32Array | Uint8Array {
    if (sizeOf(value.shape) === 0) return new Uint8Array(0);
    try {
      return this.binding.tensorDataSync(value.id);
    } catch (error) {
      throw explainFailure('read', [value], error as Error);
    }
  }
}

function sameSizes(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
