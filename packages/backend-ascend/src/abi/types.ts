import type { DType } from '@frugal/tensor-core';

/** Element types of the device: those of tensors, and some that only intermediate values and packed weights have. */
export type AclType = DType | 'i64' | 'f64' | 'i4';

/** `aclDataType`. */
export const aclTypes: Readonly<Record<AclType, number>> = {
  f32: 0,
  f16: 1,
  i8: 2,
  i32: 3,
  u8: 4,
  i64: 9,
  f64: 11,
  bool: 12,
  bf16: 27,
  i4: 29,
};

const widths: Readonly<Record<AclType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  i8: 1,
  u8: 1,
  bool: 1,
  i32: 4,
  i64: 8,
  f64: 8,
  i4: 0.5,
};

/** Bytes of an element. */
export function widthOf(type: AclType): number {
  return widths[type];
}

/** `aclFormat`: plain, row-major. Every other one starts a logic of layouts. */
export const FORMAT_ND = 2;
/** `aclrtMemMallocPolicy`: pages of 2 MiB above 1 MiB. */
export const MALLOC_HUGE_FIRST = 0;
/** `aclrtMemcpyKind`. */
export const HOST_TO_DEVICE = 1;
export const DEVICE_TO_HOST = 2;
/** `aclrtMemAttr`. */
export const MEMORY_HBM = 1;

/** A pointer or a handle. */
export type Address = bigint;

/** A tensor of the device as ops get it; strides, offset and storage count elements. */
export interface Operand {
  readonly address: Address;
  readonly type: AclType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  /** Elements of the whole memory behind `address`. */
  readonly storage: number;
}

/** A number that an op gets as `aclScalar`: f64, i64 or bool, as PyTorch passes them. */
export interface Scalar {
  readonly number: number;
  readonly type: 'f64' | 'i64';
}
