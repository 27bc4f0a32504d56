import type { ContainerLayout } from '../container.js';
import { isPlainDType, type PlainDType } from '../dtypes.js';
import { CheckpointWriteError, show } from '../errors.js';
import { inputByteLength, type TensorInput } from '../tensor-input.js';
import { compareForLayout, encodeHeader, type HeaderTensor } from './header.js';

/**
 * Plans a safetensors file. The result depends on names, dtypes, shapes and metadata alone, not on the order of
 * `tensors`. Throws {@link CheckpointWriteError} for a name twice and for dtypes that safetensors does not have.
 */
export function layoutSafetensors(
  tensors: readonly TensorInput[],
  metadata: Readonly<Record<string, string>> = {},
): ContainerLayout {
  checkMetadata(metadata);
  const ordered = tensors.map((tensor) => plainTensor(tensor)).sort(compareForLayout);
  const headerTensors: HeaderTensor[] = [];
  let end = 0;
  for (const { name, dtype, shape, byteLength } of ordered) {
    const start = end;
    end += byteLength;
    headerTensors.push({ name, dtype, shape, start, end });
  }
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name))
      throw new CheckpointWriteError({ where: `tensor ${show(name)}`, what: 'two tensors of this name' });
    names.add(name);
  }
  const header = encodeHeader(headerTensors, new Map(Object.entries(metadata)));
  const offsets = new Map(headerTensors.map(({ name, start }) => [name, header.byteLength + start]));
  return { header, offsets, byteLength: header.byteLength + end };
}

function plainTensor(tensor: TensorInput): {
  name: string;
  dtype: PlainDType;
  shape: readonly number[];
  byteLength: number;
} {
  const byteLength = inputByteLength(tensor);
  const { name, dtype, shape } = tensor;
  const where = `tensor ${show(name)}`;
  if (name === '__metadata__')
    throw new CheckpointWriteError({ where, what: 'this name is reserved by safetensors' });
  if (isPlainDType(dtype)) return { name, dtype, shape, byteLength };
  throw new CheckpointWriteError({
    where,
    what: 'safetensors has no such dtype',
    got: dtype,
    hint: 'Write a GGUF file, or unpack the tensor first.',
  });
}

function checkMetadata(metadata: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value === 'string' && value.isWellFormed() && key.isWellFormed()) continue;
    const where = `metadata ${show(key)}`;
    throw new CheckpointWriteError({ where, what: 'safetensors metadata are strings', got: show(value) });
  }
}
