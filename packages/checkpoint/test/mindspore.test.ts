import { describe, expect, it } from 'vitest';
import { bytesSource, CheckpointFormatError, readTensors, toFloat32 } from '../src/index.js';
import { concat, mindsporeFile } from './other-formats.js';

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

describe('MindSpore checkpoints', () => {
  it('are read, with tensors in several parts, both forms of dimensions, and a checksum at the end', async () => {
    const file = mindsporeFile([
      { name: 'dense.weight', type: 'Float32', dims: [2, 3], bytes: floats(1, 2, 3, 4) },
      { name: 'random_op', type: 'Int8', dims: [1], bytes: Uint8Array.of(1) },
      { name: 'dense.weight', type: 'Float32', dims: [2, 3], bytes: floats(5, 6) },
      { name: 'norm.gamma', type: 'BFloat16', dims: [1, 1], bytes: Uint8Array.of(0x80, 0x3f), packed: true },
      { name: 'epoch', type: 'str', dims: [0], bytes: new Uint8Array(4) },
    ]);
    const trailer = concat(new TextEncoder().encode('crc_num'), new Uint8Array(10));
    const source = await readTensors(bytesSource(concat(file, trailer), 'model.ckpt'));
    expect([...source.entries.keys()]).toEqual(['dense.weight', 'norm.gamma']);
    expect([...toFloat32(await source.read('dense.weight'), 'F32')]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...toFloat32(await source.readRange('dense.weight', 12, 8), 'F32')]).toEqual([4, 5]);
    expect(source.entries.get('norm.gamma')).toMatchObject({ dtype: 'BF16', shape: [1, 1] });
  });

  it('are refused where lengths do not fit', async () => {
    const open = (bytes: Uint8Array) => readTensors(bytesSource(bytes, 'model.ckpt'));
    const tensor = { name: 'w', type: 'Float32', dims: [2], bytes: floats(1, 2) };
    await expect(open(mindsporeFile([{ ...tensor, dims: [3] }]))).rejects.toThrow(
      /wrong length: got 8 bytes; expected 12/,
    );
    await expect(open(mindsporeFile([{ ...tensor, dims: [2 ** 40, 2 ** 40] }]))).rejects.toThrow(
      CheckpointFormatError,
    );
    await expect(open(mindsporeFile([{ ...tensor, type: 'Float8' }]))).rejects.toThrow(
      /unknown dtype: got "Float8"/,
    );
    await expect(open(mindsporeFile([tensor]).subarray(0, 12))).rejects.toThrow(/reaches beyond its message/);
  });
});
