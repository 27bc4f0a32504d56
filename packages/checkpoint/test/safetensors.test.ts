import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  blobSource,
  bytesSource,
  CheckpointError,
  CheckpointNotFoundError,
  CheckpointWriteError,
  DTYPES,
  fingerprint,
  fromFloat32,
  hashFile,
  inputsOf,
  isNumericDType,
  isPlainDType,
  openSafetensors,
  openShardedSafetensors,
  readSafetensors,
  saveSafetensors,
  serializeSafetensors,
  type TensorInput,
  tensorInput,
  toFloat32,
  typedArrayOf,
} from '../src/index.js';
import { writeSafetensorsFiles } from '../src/safetensors/files.js';
import { encodeHeader } from '../src/safetensors/header.js';
import { expectFormatError, fixture, temporaryFolder } from './support.js';

async function readAll(path: string): Promise<Record<string, number[]>> {
  const source = await (path.endsWith('.json') ? openShardedSafetensors : openSafetensors)(path);
  const result: Record<string, number[]> = {};
  for (const { name, dtype } of source.entries.values()) {
    result[name] = [...toFloat32(await source.read(name), dtype)];
  }
  await source.close();
  return result;
}

async function* oneByOne(tensors: Iterable<TensorInput>): AsyncGenerator<TensorInput> {
  for (const tensor of tensors) {
    await Promise.resolve();
    yield tensor;
  }
}

const floats = (name: string, ...values: number[]) =>
  tensorInput(name, 'F32', [values.length], Float32Array.from(values));

describe('reading what Python wrote', () => {
  it('reads names, shapes, values and metadata', async () => {
    const source = await openSafetensors(fixture('plain.safetensors'));
    expect(Object.fromEntries(source.metadata)).toEqual({ note: 'line\nbreak — 汉字' });
    expect(source.entries.get('model.embed_tokens.weight')).toMatchObject({
      dtype: 'F32',
      shape: [5, 4],
      byteLength: 80,
    });
    expect([...typedArrayOf(await source.read('ids'), 'I64')]).toEqual([-2n, -1n, 0n, 1n, 2n, 3n]);
    expect([...(await source.read('scalar'))]).toEqual([42]);
    expect(source.entries.get('scalar')?.shape).toEqual([]);
    expect(source.entries.get('empty')).toMatchObject({ shape: [0, 7], byteLength: 0 });
    expect([...(await source.read('名字 "quoted"'))]).toEqual([1, 0]);
    await source.close();
  });

  it('reads every dtype', async () => {
    const source = await openSafetensors(fixture('dtypes.safetensors'));
    for (const { name, dtype, shape } of source.entries.values()) {
      expect(dtype).toBe(name);
      expect(shape).toEqual([2, 3]);
      const expected =
        name === 'F8_E8M0' ? [1, 2, 4, 8, 16, 32] : name === 'BOOL' ? [0, 1, 1, 1, 1, 1] : [0, 1, 2, 3, 4, 1];
      expect([...toFloat32(await source.read(name), dtype)], name).toEqual(expected);
    }
    expect([...source.entries.keys()].sort()).toEqual(DTYPES.filter(isNumericDType).sort());
    await source.close();
  });

  it('writes the same bytes as Python for the same tensors, in whatever order they come', async () => {
    for (const name of ['dtypes.safetensors', 'casts.safetensors']) {
      const original = readFileSync(fixture(name));
      const source = await readSafetensors(bytesSource(original));
      const metadata = Object.fromEntries(source.metadata) as Record<string, string>;
      const inputs = inputsOf(source);
      for (const order of [inputs, inputs.toReversed()]) {
        expect(Buffer.compare(await serializeSafetensors(order, metadata), original)).toBe(0);
      }
    }
  });
});

describe('reading parts', () => {
  it('gives aligned memory of its own, and ranges', async () => {
    const bytes = await serializeSafetensors([
      floats('w', 1, 2, 3, 4),
      tensorInput('b', 'U8', [3], Uint8Array.of(7, 8, 9)),
    ]);
    const misaligned = new Uint8Array(bytes.byteLength + 1).subarray(1);
    misaligned.set(bytes);
    for (const source of [bytesSource(misaligned), blobSource(new Blob([bytes]))]) {
      const tensors = await readSafetensors(source);
      const data = await tensors.read('w');
      expect([...new Float32Array(data.buffer, data.byteOffset, 4)]).toEqual([1, 2, 3, 4]);
      data.fill(0);
      expect([...toFloat32(await tensors.readRange('w', 4, 8), 'F32')]).toEqual([2, 3]);
      expect([...(await tensors.readRange('b', 1, 2))]).toEqual([8, 9]);
      expect((await tensors.readRange('b', 3, 0)).byteLength).toBe(0);
      for (const [offset, length] of [
        [2, 2],
        [-1, 1],
        [0, -1],
        [Number.NaN, 1],
        [0.5, 1],
      ]) {
        await expect(tensors.readRange('b', offset, length)).rejects.toThrow(CheckpointError);
      }
    }
  });

  it('names similar tensors when there is none of that name', async () => {
    const tensors = await readSafetensors(
      bytesSource(await serializeSafetensors([floats('layers.0.mlp.up.weight', 1)])),
    );
    await expect(tensors.read('blocks.0.mlp.up.weight')).rejects.toThrow(
      '[bytes] no tensor "blocks.0.mlp.up.weight" among 1. Similar: layers.0.mlp.up.weight.',
    );
  });

  it('reports a file that shrinks while it is open', async () => {
    const path = join(temporaryFolder(), 'x.safetensors');
    await saveSafetensors(path, [floats('a', 1, 2, 3)]);
    const source = await openSafetensors(path);
    writeFileSync(path, readFileSync(path).subarray(0, -4));
    await expectFormatError(source.read('a'), /ended while it was being read/);
    await source.close();
  });

  it('tells a missing file and a folder from a damaged one', async () => {
    await expect(openSafetensors('/nowhere/x.safetensors')).rejects.toThrow(CheckpointNotFoundError);
    await expectFormatError(openSafetensors(temporaryFolder()), /not a regular file/);
  });
});

describe('files beyond 4 GB', () => {
  it('are read at exact positions', async () => {
    const path = join(temporaryFolder(), 'large.safetensors');
    const large = 5 * 2 ** 30 + 4;
    const header = encodeHeader(
      [
        { name: 'large', dtype: 'U8', shape: [large], start: 0, end: large },
        { name: 'last', dtype: 'U8', shape: [3], start: large, end: large + 3 },
      ],
      new Map(),
    );
    const file = openSync(path, 'w'); // sparse: it takes no room
    writeSync(file, header);
    writeSync(file, Uint8Array.of(9, 1, 2, 3), 0, 4, header.byteLength + large - 1);
    closeSync(file);
    const source = await openSafetensors(path);
    expect([...(await source.read('last'))]).toEqual([1, 2, 3]);
    expect([...(await source.readRange('large', large - 2, 2))]).toEqual([0, 9]);
    await source.close();
  });
});

describe('writing', () => {
  it('writes every plain dtype and reads it back', async () => {
    const path = join(temporaryFolder(), 'all.safetensors');
    const inputs = DTYPES.filter(isPlainDType).map((dtype) => {
      const width = { F4: 2, F6_E2M3: 3, F6_E3M2: 3, C64: 32 }[dtype as string];
      const data = isNumericDType(dtype)
        ? fromFloat32(Float32Array.of(1, 2, 4, 1), dtype)
        : new Uint8Array(width!).fill(5);
      return tensorInput(`t.${dtype}`, dtype, [4], data);
    });
    await saveSafetensors(path, inputs, { b: '2', a: '1' });
    const source = await openSafetensors(path);
    expect([...source.metadata]).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
    for (const input of inputs)
      expect(Buffer.from(await source.read(input.name))).toEqual(
        Buffer.from((await input.bytes()) as Uint8Array),
      );
    for (const { byteOffset, dtype } of source.entries.values()) {
      if (isNumericDType(dtype))
        expect(byteOffset % typedArrayOf(new Uint8Array(0), dtype).BYTES_PER_ELEMENT).toBe(0);
    }
    await source.close();
  });

  it('writes the same file from a list, from tensors that come one by one, and in chunks', async () => {
    const folder = temporaryFolder();
    const list = [
      floats('b', 1, 2),
      tensorInput('a', 'U8', [3], Uint8Array.of(1, 2, 3)),
      floats('c', 3),
      tensorInput('e', 'F32', [0], new Uint8Array(0)),
    ];
    const chunked = list.map((tensor) => ({
      ...tensor,
      async *bytes() {
        for (const byte of (await tensor.bytes()) as Uint8Array) yield Uint8Array.of(byte);
      },
    }));
    await saveSafetensors(join(folder, 'list'), list, { k: 'v' });
    await saveSafetensors(join(folder, 'stream'), oneByOne(list), { k: 'v' });
    await saveSafetensors(join(folder, 'chunks'), oneByOne(chunked), { k: 'v' });
    const expected = await serializeSafetensors(list, { k: 'v' });
    for (const name of readdirSync(folder))
      expect(Buffer.compare(readFileSync(join(folder, name)), expected)).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['chunks', 'list', 'stream']);
  });

  it('asks for one tensor after the other and keeps none', async () => {
    const path = join(temporaryFolder(), 'big.safetensors');
    let held = 0;
    let most = 0;
    async function* produce(): AsyncGenerator<TensorInput> {
      for (let i = 0; i < 20; i++) {
        held++;
        most = Math.max(most, held);
        yield tensorInput(`t${i}`, 'F32', [1000], new Float32Array(1000).fill(i));
        held--;
      }
    }
    await saveSafetensors(path, produce());
    expect(most).toBe(1);
    expect((await readAll(path)).t19[999]).toBe(19);
  });

  it('refuses what the format cannot hold, and leaves the old file', async () => {
    const path = join(temporaryFolder(), 'x.safetensors');
    await saveSafetensors(path, [floats('old', 1)]);
    const bad: [Iterable<TensorInput>, RegExp][] = [
      [[floats('a', 1), floats('a', 2)], /two tensors of this name/],
      [
        [tensorInput('a', 'F32', [3], new Float32Array(2))],
        /wrong number of bytes: got 8; expected 12 for F32 \[3\]/,
      ],
      [[tensorInput('a', 'F32', [1], new Float32Array(2))], /wrong number of bytes/],
      [[tensorInput('a', 'F32', [-1], new Float32Array(0))], /impossible shape/],
      [[tensorInput('a', 'Q8_0', [32], new Uint8Array(34))], /no such dtype: got Q8_0.*GGUF/],
      [[tensorInput('a', 'f32' as 'F32', [1], new Float32Array(1))], /unknown dtype/],
      [[tensorInput('', 'F32', [1], new Float32Array(1))], /bad tensor name/],
      [[tensorInput('\ud800', 'F32', [1], new Float32Array(1))], /bad tensor name/],
      [[tensorInput('__metadata__', 'F32', [1], new Float32Array(1))], /reserved/],
    ];
    for (const [tensors, message] of bad) {
      for (const input of [tensors, oneByOne(tensors)]) {
        await expect(saveSafetensors(path, input)).rejects.toThrow(message);
      }
    }
    await expect(saveSafetensors(path, [], { a: 1 as unknown as string })).rejects.toThrow(
      CheckpointWriteError,
    );
    expect(await readAll(path)).toEqual({ old: [1] });
    expect(readdirSync(join(path, '..'))).toEqual(['x.safetensors']);
  });
});

describe('sharding', () => {
  const tensors = [
    floats('a', 1, 2),
    floats('b', 3),
    floats('c', 4, 5, 6, 7),
    floats('d', 8),
    floats('e', 9),
  ];
  const all = { a: [1, 2], b: [3], c: [4, 5, 6, 7], d: [8], e: [9] };

  it.each([
    ['a list', () => tensors],
    ['tensors one by one', () => oneByOne(tensors)],
  ])('splits %s', async (_, make) => {
    const folder = temporaryFolder();
    await writeSafetensorsFiles(join(folder, 'model.safetensors'), make(), {
      maxShardBytes: 12,
      metadata: { format: 'pt' },
    });
    expect(readdirSync(folder).sort()).toEqual([
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
      'model.safetensors.index.json',
    ]);
    const index = JSON.parse(readFileSync(join(folder, 'model.safetensors.index.json'), 'utf8'));
    expect(index.metadata).toEqual({ total_size: 36 });
    expect(index.weight_map.c).toBe('model-00002-of-00003.safetensors'); // larger than the limit: alone in its file
    expect(await readAll(join(folder, 'model.safetensors.index.json'))).toEqual(all);
  });

  it('makes a single file when all fits, an empty one of nothing', async () => {
    const folder = temporaryFolder();
    await writeSafetensorsFiles(join(folder, 'model.safetensors'), tensors, { maxShardBytes: 36 });
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    await writeSafetensorsFiles(join(folder, 'model.safetensors'), []);
    expect(await readAll(join(folder, 'model.safetensors'))).toEqual({});
  });

  it('removes unfinished files', async () => {
    const folder = temporaryFolder();
    const broken = [...tensors, tensorInput('f', 'F32', [2], new Float32Array(1))];
    for (const input of [broken, oneByOne(broken)]) {
      await expect(
        writeSafetensorsFiles(join(folder, 'm.safetensors'), input, { maxShardBytes: 8 }),
      ).rejects.toThrow(/wrong number/);
      expect(readdirSync(folder)).toEqual([]);
    }
    await expect(writeSafetensorsFiles(join(folder, 'm.bin'), tensors)).rejects.toThrow(
      /must end in .safetensors/,
    );
  });

  it('refuses an index that does not fit its shards', async () => {
    const folder = temporaryFolder();
    const index = join(folder, 'model.safetensors.index.json');
    await saveSafetensors(join(folder, 'one.safetensors'), [floats('a', 1)]);
    const open = (content: unknown) => {
      writeFileSync(index, typeof content === 'string' ? content : JSON.stringify({ weight_map: content }));
      return openShardedSafetensors(index);
    };
    await expectFormatError(
      open({ a: 'one.safetensors', b: 'one.safetensors' }),
      /tensor "b" is not in the shard/,
    );
    await expectFormatError(open({ a: '../one.safetensors' }), /bad shard name/);
    await expectFormatError(open({ a: 7 }), /bad shard name/);
    await expectFormatError(open({ a: 'weights.bin' }), /bad shard name/);
    await expectFormatError(open('{}'), /no weight_map/);
    await expectFormatError(open('[]'), /not a JSON object/);
    await expectFormatError(open('{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}'), /twice/);
    await expect(open({ a: 'one.safetensors', b: 'gone.safetensors' })).rejects.toThrow(
      /gone.safetensors\] no such file/,
    );
    expect(existsSync(index)).toBe(true);
  });
});

describe('hashes', () => {
  it('tell contents apart and not how they are spread over files', async () => {
    const folder = temporaryFolder();
    const tensors = [floats('a', 1, 2), floats('b', 3)];
    await saveSafetensors(join(folder, 'one.safetensors'), tensors, { k: 'v' });
    await writeSafetensorsFiles(join(folder, 'm.safetensors'), tensors, { maxShardBytes: 4 });
    await saveSafetensors(join(folder, 'other.safetensors'), [floats('a', 1, 2), floats('b', 3.0001)]);
    const print = async (source: Awaited<ReturnType<typeof openSafetensors>>) =>
      fingerprint(source).finally(() => source.close());
    const one = await print(await openSafetensors(join(folder, 'one.safetensors')));
    expect(one).toMatch(/^[0-9a-f]{64}$/);
    expect(await print(await openShardedSafetensors(join(folder, 'm.safetensors.index.json')))).toBe(one);
    expect(await print(await openSafetensors(join(folder, 'other.safetensors')))).not.toBe(one);
    writeFileSync(join(folder, 'abc'), 'abc');
    expect(await hashFile(join(folder, 'abc'))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});
