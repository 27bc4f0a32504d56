import type { DType } from '@frugal/tensor-core';

/** Element types by the numbers of TensorFlow's `TF_DataType`. */
export const tfTypes = {
  f32: 1,
  f64: 2,
  i32: 3,
  u8: 4,
  i8: 6,
  i64: 9,
  bool: 10,
  bf16: 14,
  f16: 19,
  resource: 20,
  u32: 22,
  u64: 23,
} as const satisfies Record<DType, number> & Record<string, number>;

export type TfType = keyof typeof tfTypes;

const names = new Map<number, TfType>(Object.entries(tfTypes).map(([name, code]) => [code, name as TfType]));

/** The name of a `TF_DataType`, for messages. */
export function typeName(code: number): string {
  return names.get(code) ?? `type ${code}`;
}

/** A tensor of TensorFlow's. Its elements never change; handles may share memory. */
export interface Value {
  /** Handle of the binding. */
  readonly id: number;
  readonly shape: readonly number[];
  /** `TF_DataType`. */
  readonly dtype: number;
}

/** An attribute of an op in the form that the binding reads; `type` is a `TF_AttrType`. */
export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

const attributeTypes = { string: 0, int: 1, float: 2, bool: 3, type: 4, shape: 5 } as const;

/** Types of inputs are inferred by TensorFlow: only other attributes must be given. */
export const attribute = {
  string: (name: string, value: string): Attribute => ({ name, type: attributeTypes.string, value }),
  int: (name: string, value: number): Attribute => ({ name, type: attributeTypes.int, value }),
  bool: (name: string, value: boolean): Attribute => ({ name, type: attributeTypes.bool, value }),
  type: (name: string, value: TfType): Attribute => ({
    name,
    type: attributeTypes.type,
    value: tfTypes[value],
  }),
  shape: (name: string, value: readonly number[]): Attribute => ({ name, type: attributeTypes.shape, value }),
};

/** What this package uses of the native part of `@tensorflow/tfjs-node-gpu`. */
export interface Binding {
  readonly TF_Version: string;
  isUsingGpuDevice(): boolean;
  /** Live handles. */
  getNumOfTensors(): number;
  /** Keeps `values` as its memory until it is deleted. i32 stays on the host, all else goes to the device. */
  createTensor(
    shape: readonly number[],
    dtype: number,
    values: Float32Array | Int32Array | Uint8Array,
  ): number;
  deleteTensor(id: number): void;
  /** Waits for the tensor and copies it; knows f32, i32, i64 and bool. */
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(
    name: string,
    attributes: readonly Attribute[],
    inputs: readonly number[],
    outputs: number,
  ): Value[];
}
