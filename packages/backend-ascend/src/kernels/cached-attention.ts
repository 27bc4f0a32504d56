import { isContiguous, type OpSpecs, type TensorInfo, type TensorView } from '@frugal/tensor-core';
import { type Device, operandOf, viewOf } from '../device.js';
import { AscendStorage } from '../storage.js';
import { type FusedFamily, isHalf } from './family.js';

/** Limits of CANN's op. */
const PAGE_STEP = 16;
const LARGEST_PAGE = 512;
const HEAD_STEP = 16;
const WIDEST_HEAD = 512;
const MOST_SHARED = 64;
/** `innerPrecise`: sums in f32 (f16; bf16 has no other way). */
const PRECISE = 0;

/** What an i32 tensor holds, when the host knows: uploaded, small, and not changed since. */
function known(info: TensorInfo): Int32Array | null {
  const { storage, offset, strides, shape } = info as Partial<TensorView> & TensorInfo;
  if (!(storage instanceof AscendStorage) || !storage.bytes || storage.version > 0) return null;
  if (offset === undefined || !strides || !isContiguous(shape, strides)) return null;
  return new Int32Array(storage.bytes.buffer, storage.bytes.byteOffset + offset * 4, shape[0]);
}

/** Every sequence has one query: row s is that of sequence s. */
function isDecoding(N: number, starts: Int32Array): boolean {
  return starts.length === N + 1 && starts.every((start, s) => start === s);
}

function isPlain(info: TensorInfo): boolean {
  const { strides, shape } = info as Partial<TensorView> & TensorInfo;
  return strides !== undefined && isContiguous(shape, strides);
}

function fits(
  inputs: readonly TensorInfo[],
  { pageSize, window, softCap }: OpSpecs['cachedAttention'],
): boolean {
  const [q, keys, values, starts, , lengths] = inputs;
  const [N, H, D] = q.shape;
  const K = keys.shape[1];
  const [from, counts] = [known(starts), known(lengths)];
  if (!from || !counts || inputs.length > 6 || window !== undefined || softCap) return false;
  const isPage = pageSize % PAGE_STEP === 0 && pageSize <= LARGEST_PAGE;
  const isHead = values.shape[2] === D && D % HEAD_STEP === 0 && D <= WIDEST_HEAD && H / K <= MOST_SHARED;
  const isStored = isHalf(q) && q.dtype === keys.dtype && isPlain(keys) && isPlain(values);
  return isPage && isHead && isStored && isDecoding(N, from) && counts.every((count) => count > 0);
}

function decode(
  device: Device,
  views: readonly TensorView[],
  output: TensorView,
  { pageSize, scale }: OpSpecs['cachedAttention'],
): void {
  const [q, keys, values, , pageTable] = views.map(operandOf);
  const [N, H, D] = q.shape;
  const [rows, K] = keys.shape;
  const flat = [H * D, H * D, 1];
  const pages = [keys, values].map((cache) => [
    viewOf(cache, [rows / pageSize, pageSize, K * D], [pageSize * K * D, K * D, 1]),
  ]);
  const lengths = [...(known(views[5]) as Int32Array)];
  const query = viewOf(device.contiguous(q), [N, 1, H * D], flat);
  const quantization = [null, null, null, null, null, null, null] as const;
  const inputs = [query, pages[0], pages[1], null, null, lengths, ...quantization] as const;
  const table = device.contiguous(pageTable);
  const attributes = [H, scale, 'BSH', K, pageSize, PRECISE] as const;
  const result = viewOf(operandOf(output), [N, 1, H * D], flat);
  if (device.has('IncreFlashAttentionV4'))
    device.run('IncreFlashAttentionV4', ...inputs, table, null, ...attributes, result);
  else device.run('IncreFlashAttentionV3', ...inputs, table, ...attributes, result);
}

/** Decoding over pages of a cache; core composes what has several queries per sequence (prefill, drafts). */
export const cachedAttentionKernels: FusedFamily<'cachedAttention'> = (device) => ({
  cachedAttention: {
    takes: (inputs, attributes) =>
      device.first('IncreFlashAttentionV4', 'IncreFlashAttentionV3') !== null && fits(inputs, attributes),
    run: (inputs, [output], attributes) => decode(device, inputs, output, attributes),
  },
});
