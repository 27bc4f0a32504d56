import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { f16ToFloat, floatToF16 } from '@frugal/tensor-core';
import type { StoredDistributions } from '@frugal/tensor-core/nn';

/** Smaller logarithms are no different to a student, and f16 could not hold the smallest. */
const LEAST_LOG = -1000;

/** Bytes of one token before compression: k ids of 24 bits, k + 1 logarithms in f16. */
export function bytesPerToken(topK: number): number {
  return 5 * topK + 2;
}

/**
 * Distributions as bytes: ids in three planes of their bytes and logarithms in two, so that the high bytes, which vary
 * little, stand together; then deflated. Logarithms lose all but 11 bits.
 */
export function encodeLogs({ topK, indices, logs }: StoredDistributions): Uint8Array {
  const tokens = indices.length / topK;
  const bytes = new Uint8Array(tokens * bytesPerToken(topK));
  const [ids, values] = [indices.length, logs.length];
  for (let i = 0; i < ids; i++) {
    bytes[i] = indices[i] >>> 16;
    bytes[ids + i] = indices[i] >>> 8;
    bytes[2 * ids + i] = indices[i];
  }
  for (let i = 0; i < values; i++) {
    const bits = floatToF16(Math.max(LEAST_LOG, logs[i]));
    bytes[3 * ids + i] = bits >>> 8;
    bytes[3 * ids + values + i] = bits;
  }
  return deflateRawSync(bytes);
}

/** The inverse, with each token's logarithms made to sum to one again. @throws RangeError for bytes of another length */
export function decodeLogs(compressed: Uint8Array, topK: number, tokens: number): StoredDistributions {
  const length = tokens * bytesPerToken(topK);
  const bytes = inflateRawSync(compressed, { maxOutputLength: length });
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes instead of ${length}`);
  const [ids, values] = [tokens * topK, tokens * (topK + 1)];
  const indices = Int32Array.from(
    { length: ids },
    (_, i) => (bytes[i] << 16) | (bytes[ids + i] << 8) | bytes[2 * ids + i],
  );
  const logs = Float32Array.from({ length: values }, (_, i) =>
    f16ToFloat((bytes[3 * ids + i] << 8) | bytes[3 * ids + values + i]),
  );
  for (let start = 0; start < values; start += topK + 1) normalize(logs.subarray(start, start + topK + 1));
  return { topK, indices, logs };
}

function normalize(logs: Float32Array): void {
  let sum = 0;
  for (const value of logs) sum += Math.exp(value);
  const total = Math.log(sum);
  for (let i = 0; i < logs.length; i++) logs[i] -= total;
}
