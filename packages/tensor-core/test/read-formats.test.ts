import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { packedFormat, readAsIntegerGroups } from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';

/** Blocks of every type that is only read, and the hash of what gguf-py makes of them: oracles/make_read_formats.py. */
interface Expected {
  readonly columns: number;
  readonly bytes: number;
  readonly halves: readonly number[];
  readonly sha256: string;
}
const BLOCKS = 1024;
const all: Record<string, Expected> = JSON.parse(
  readFileSync(new URL('../../../oracles/fixtures/formats-read.json', import.meta.url), 'utf8'),
);

function blocksOf({ bytes, halves }: Expected): Uint8Array {
  let state = 1;
  const blocks = Uint8Array.from({ length: BLOCKS * bytes }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 16;
  });
  for (const at of halves) {
    for (let i = at + 1; i < blocks.length; i += bytes) blocks[i] = (blocks[i] & 0x8f) | 0x20;
  }
  return blocks;
}

const digest = (values: Float32Array) =>
  createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex');

function unpack(
  format: string,
  parts: Parameters<ReturnType<typeof packedFormat>['unpack']>[0],
  size: number,
) {
  const [rows, columns] = [16, size / 16];
  const out = new Float32Array(size);
  // In two pieces, so that rows are found from the middle on as well.
  for (const [rowStart, rowCount] of [
    [0, 5],
    [5, 11],
  ]) {
    const piece = out.subarray(rowStart * columns, (rowStart + rowCount) * columns);
    packedFormat(format).unpack(parts, { rows, columns, rowStart, rowCount }, piece);
  }
  return out;
}

describe.each(Object.entries(all))('%s', (name, expected) => {
  const blocks = blocksOf(expected);
  const size = BLOCKS * expected.columns;

  it('has the numbers of gguf-py, bit for bit', () => {
    expect(packedFormat(name).parts(16, size / 16)[0].shape).toEqual([16, blocks.length / 16]);
    expect(digest(unpack(name, [blocks], size))).toBe(expected.sha256);
  });

  it('has the same numbers as integer groups', () => {
    const { format, parts } = readAsIntegerGroups(name, blocks);
    const sizes = packedFormat(format).parts(16, size / 16);
    expect(parts.map(({ length }) => length)).toEqual(
      sizes.map(({ shape: [rows, columns] }) => rows * columns),
    );
    expect(digest(unpack(format, parts, size))).toBe(expected.sha256);
  });

  it('is not written', () => {
    expect(() => packedFormat(name).pack(new Float32Array(256), 1, 256)).toThrow('read, not written');
  });
});
