import type { ContainerLayout } from '../container.js';
import { CheckpointWriteError, show } from '../errors.js';
import { inputByteLength, type TensorInput } from '../tensor-input.js';
import { ByteWriter } from './byte-writer.js';
import {
  ALIGNMENT_KEY,
  alignUp,
  DEFAULT_ALIGNMENT,
  type GgufItemType,
  type GgufValue,
  MAGIC,
  MAX_DIMENSIONS,
  tensorTypeOf,
  VALUE_TYPES,
} from './types.js';

/** Typed metadata of a GGUF file to be written, in order. */
export type GgufFields = ReadonlyMap<string, GgufValue> | Readonly<Record<string, GgufValue>>;

/**
 * Plans a GGUF file of version 3; tensors keep their order. The alignment is `general.alignment` of the fields, else 32.
 * Throws {@link CheckpointWriteError} for dtypes and shapes that GGUF does not have.
 */
export function layoutGguf(tensors: readonly TensorInput[], fields: GgufFields): ContainerLayout {
  const list: [string, GgufValue][] = fields instanceof Map ? [...fields] : Object.entries(fields);
  const alignment = alignmentOf(list);
  const writer = new ByteWriter();
  writer.u32(MAGIC);
  writer.u32(3);
  writer.u64(tensors.length);
  writer.u64(list.length);
  for (const [key, value] of list) {
    writer.string(key);
    writeTyped(writer, value, `metadata ${show(key)}`);
  }
  const starts = new Map<string, number>();
  let end = 0;
  for (const tensor of tensors) {
    const start = alignUp(end, alignment);
    if (starts.has(tensor.name)) {
      throw new CheckpointWriteError({
        where: `tensor ${show(tensor.name)}`,
        what: 'two tensors of this name',
      });
    }
    starts.set(tensor.name, start);
    end = start + inputByteLength(tensor);
    writeTensorInfo(writer, tensor, start);
  }
  writer.zeros(alignUp(writer.byteLength, alignment) - writer.byteLength);
  const header = writer.bytes();
  const offsets = new Map([...starts].map(([name, start]) => [name, header.byteLength + start]));
  return { header, offsets, byteLength: header.byteLength + alignUp(end, alignment) };
}

function writeTensorInfo(writer: ByteWriter, { name, dtype, shape }: TensorInput, start: number): void {
  const where = `tensor ${show(name)}`;
  const type = tensorTypeOf(dtype);
  if (type === undefined) {
    const hint = 'Convert it to F32, F16 or BF16 first.';
    throw new CheckpointWriteError({ where, what: 'GGUF has no such dtype', got: dtype, hint });
  }
  if (shape.length > MAX_DIMENSIONS) {
    const got = `[${shape}]`;
    throw new CheckpointWriteError({
      where,
      what: 'too many dimensions for GGUF',
      got,
      expected: `at most ${MAX_DIMENSIONS}`,
    });
  }
  writer.string(name);
  writer.u32(shape.length);
  for (const dimension of [...shape].reverse()) writer.u64(dimension);
  writer.u32(type);
  writer.u64(start);
}

function alignmentOf(fields: readonly [string, GgufValue][]): number {
  const field = fields.find(([key]) => key === ALIGNMENT_KEY)?.[1];
  if (!field) return DEFAULT_ALIGNMENT;
  const value = Number(field.value);
  if (field.type === 'u32' && value >= 8 && Number.isInteger(Math.log2(value))) return value;
  throw new CheckpointWriteError({
    where: ALIGNMENT_KEY,
    what: 'bad alignment',
    expected: 'a power of two from 8 on, as u32',
  });
}

function writeTyped(writer: ByteWriter, value: GgufValue, where: string): void {
  writer.u32(VALUE_TYPES.indexOf(value.type));
  if (value.type === 'array') writeArray(writer, value, where);
  else writeItems(writer, value.type, [value.value], where);
}

function writeArray(writer: ByteWriter, value: GgufValue & { type: 'array' }, where: string): void {
  writer.u32(VALUE_TYPES.indexOf(value.items));
  const list = value.value as ArrayLike<unknown>;
  if (typeof list !== 'object' || typeof list.length !== 'number') throw badValue(where, 'a list', list);
  writer.u64(list.length);
  if (value.items !== 'array') {
    writeItems(writer, value.items, list, where);
    return;
  }
  for (const inner of value.value) {
    if (inner.type !== 'array') throw badValue(where, 'arrays only', inner.type);
    writeArray(writer, inner, where);
  }
}

function writeItems(writer: ByteWriter, type: GgufItemType, items: ArrayLike<unknown>, where: string): void {
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (type === 'string') {
      if (typeof item !== 'string' || !item.isWellFormed()) throw badValue(where, 'a Unicode string', item);
      writer.string(item);
    } else if (type === 'bool') {
      if (typeof item !== 'boolean') throw badValue(where, 'a boolean', item);
      writer.number('u8', item ? 1 : 0);
    } else if (!writer.number(type, item as number | bigint)) {
      throw badValue(where, `a number that fits ${type}`, item);
    }
  }
}

function badValue(where: string, expected: string, got: unknown): CheckpointWriteError {
  return new CheckpointWriteError({ where, what: 'bad metadata value', got: show(got), expected });
}
