import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type ByteSource,
  bytesSource,
  CheckpointFormatError,
  CheckpointWriteError,
  type GgufFields,
  type GgufValue,
  inputsOf,
  openGguf,
  openTensors,
  readGguf,
  saveGguf,
  serializeGguf,
  type TensorInput,
  tensorInput,
  toFloat32,
} from '../src/index.js';
import { expectFormatError, fixture, randomNumbers, temporaryFolder } from './support.js';

const EVERY_TYPE: Record<string, GgufValue> = {
  'general.architecture': { type: 'string', value: 'llama' },
  'a.u8': { type: 'u8', value: 255 },
  'a.i8': { type: 'i8', value: -128 },
  'a.u16': { type: 'u16', value: 65535 },
  'a.i16': { type: 'i16', value: -32768 },
  'a.u32': { type: 'u32', value: 4294967295 },
  'a.i32': { type: 'i32', value: -2147483648 },
  'a.u64': { type: 'u64', value: 2n ** 64n - 1n },
  'a.i64': { type: 'i64', value: -(2n ** 63n) },
  'a.f32': { type: 'f32', value: 0.5 },
  'a.f64': { type: 'f64', value: 0.1 },
  'a.bool': { type: 'bool', value: false },
  'a.string': { type: 'string', value: '汉字' },
  'l.strings': { type: 'array', items: 'string', value: ['', 'a', '字'] },
  'l.f32': { type: 'array', items: 'f32', value: Float32Array.of(1, 2, 3) },
  'l.i32': { type: 'array', items: 'i32', value: Int32Array.of(-1, 5) },
  'l.u64': { type: 'array', items: 'u64', value: BigUint64Array.of(1n, 2n ** 63n) },
  'l.bool': { type: 'array', items: 'bool', value: [true, false] },
  'l.empty': { type: 'array', items: 'u8', value: new Uint8Array(0) },
  'l.nested': {
    type: 'array',
    items: 'array',
    value: [
      { type: 'array', items: 'u32', value: Uint32Array.of(1, 2) },
      { type: 'array', items: 'string', value: ['x'] },
    ],
  },
};

const tensors = [
  tensorInput('w', 'F32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6)),
  tensorInput(
    'q',
    'Q8_0',
    [2, 64],
    Uint8Array.from({ length: 4 * 34 }, (_, i) => i),
  ),
  tensorInput('empty', 'F16', [0], new Uint8Array(0)),
  tensorInput('b', 'I8', [5], Int8Array.of(-1, 0, 1, 2, 3)),
];

const open = (bytes: Uint8Array) => readGguf(bytesSource(bytes, 'x.gguf'));

describe('reading what Python wrote', () => {
  const expected = JSON.parse(readFileSync(fixture('small.json'), 'utf8')) as {
    fields: Record<string, unknown>;
    tensors: Record<string, { dtype: string; shape: number[]; sha256: string }>;
  };

  it('reads metadata of every type', async () => {
    const source = await openGguf(fixture('small.gguf'));
    expect(source).toMatchObject({ format: 'gguf', version: 3, alignment: 32 });
    expect(source.metadata.get('general.architecture')).toBe('llama');
    for (const [key, value] of Object.entries(expected.fields)) {
      const actual = source.metadata.get(key);
      const plain = ArrayBuffer.isView(actual) ? [...(actual as Int32Array)] : actual;
      if (key === 'test.nested') expect((actual as Int32Array[]).map((list) => [...list])).toEqual(value);
      else expect(typeof plain === 'bigint' ? String(plain) : plain, key).toEqual(value);
    }
    await source.close();
  });

  it('reads plain and packed tensors', async () => {
    const source = await openTensors(fixture('small.gguf'));
    expect([...source.entries.keys()].sort()).toEqual(Object.keys(expected.tensors).sort());
    for (const [name, { dtype, shape, sha256 }] of Object.entries(expected.tensors)) {
      expect(source.entries.get(name)).toMatchObject({ dtype, shape });
      expect(
        createHash('sha256')
          .update(await source.read(name))
          .digest('hex'),
      ).toBe(sha256);
    }
    await source.close();
  });

  it('writes the same bytes as Python', async () => {
    const original = readFileSync(fixture('small.gguf'));
    const source = await open(original);
    expect(Buffer.compare(await serializeGguf(inputsOf(source), source.fields), original)).toBe(0);
  });

  it('reads version 2, which is laid out alike', async () => {
    const bytes = readFileSync(fixture('small.gguf'));
    bytes.writeUInt32LE(2, 4);
    expect((await open(bytes)).version).toBe(2);
  });
});

describe('writing', () => {
  it('keeps metadata with their types, and tensors', async () => {
    const path = join(temporaryFolder(), 'x.gguf');
    await saveGguf(path, tensors, EVERY_TYPE);
    const source = await openGguf(path);
    expect(Object.fromEntries(source.fields)).toEqual({
      ...EVERY_TYPE,
      'a.u64': { type: 'u64', value: 2n ** 64n - 1n },
    });
    for (const { name, bytes, dtype, shape } of tensors) {
      const entry = source.entries.get(name)!;
      expect(entry).toMatchObject({ dtype, shape });
      expect(entry.byteOffset % 32).toBe(0);
      expect(Buffer.compare(await source.read(name), (await bytes()) as Uint8Array)).toBe(0);
    }
    expect([...toFloat32(await source.readRange('w', 8, 8), 'F32')]).toEqual([3, 4]);
    await source.close();
  });

  it('keeps vocabularies that are larger than any buffer', async () => {
    const tokens = Array.from({ length: 150_000 }, (_, i) => `token ${i} ${'字'.repeat(i % 7)}`);
    const scores = Float32Array.from(tokens, (_, i) => -i);
    const fields = {
      'tokenizer.ggml.tokens': { type: 'array', items: 'string', value: tokens },
      'tokenizer.ggml.scores': { type: 'array', items: 'f32', value: scores },
    } as const;
    const source = await open(await serializeGguf(tensors, fields));
    expect(source.metadata.get('tokenizer.ggml.tokens')).toEqual(tokens);
    expect(source.metadata.get('tokenizer.ggml.scores')).toEqual(scores);
    expect(source.entries.size).toBe(tensors.length);
  });

  it('takes tensors one by one', async () => {
    async function* produce(): AsyncGenerator<TensorInput> {
      yield* tensors;
    }
    const path = join(temporaryFolder(), 'x.gguf');
    await saveGguf(path, produce(), EVERY_TYPE);
    expect(Buffer.compare(readFileSync(path), await serializeGguf(tensors, EVERY_TYPE))).toBe(0);
  });

  it('obeys general.alignment', async () => {
    const fields = { 'general.alignment': { type: 'u32', value: 256 } } as const;
    const source = await open(await serializeGguf(tensors, fields));
    expect(source.alignment).toBe(256);
    for (const { byteOffset } of source.entries.values()) expect(byteOffset % 256).toBe(0);
  });

  it('refuses what GGUF cannot hold', async () => {
    const one = (dtype: 'F32' | 'U8' | 'Q4_K', shape: number[], length: number) => [
      tensorInput('t', dtype, shape, new Uint8Array(length)),
    ];
    await expect(serializeGguf(one('U8', [4], 4), {})).rejects.toThrow(/no such dtype: got U8/);
    await expect(serializeGguf(one('Q4_K', [64, 4], 144), {})).rejects.toThrow(/impossible shape/);
    await expect(serializeGguf(one('F32', [1, 1, 1, 1, 1], 4), {})).rejects.toThrow(/too many dimensions/);
    await expect(serializeGguf([...tensors, ...tensors], {})).rejects.toThrow(/two tensors/);
    const bad: GgufFields[] = [
      { k: { type: 'u8', value: 256 } },
      { k: { type: 'u8', value: 1.5 } },
      { k: { type: 'i64', value: 2n ** 63n } },
      { k: { type: 'u64', value: 2 ** 60 } },
      { k: { type: 'u32', value: 'x' } },
      { k: { type: 'string', value: 5 } },
      { k: { type: 'string', value: '\ud800' } },
      { k: { type: 'bool', value: 1 } },
      { k: { type: 'array', items: 'u8', value: 5 } },
      { k: { type: 'array', items: 'array', value: [{ type: 'u8', value: 1 }] } },
      { 'general.alignment': { type: 'u32', value: 24 } },
      { 'general.alignment': { type: 'u64', value: 32 } },
    ];
    for (const fields of bad) await expect(serializeGguf([], fields)).rejects.toThrow(CheckpointWriteError);
  });
});

/** Builds headers by hand. */
class Header {
  private readonly parts: Buffer[] = [];

  constructor(tensorCount: bigint | number, fieldCount: bigint | number, version = 3) {
    this.text('GGUF').u32(version).u64(tensorCount).u64(fieldCount);
  }
  text(text: string): this {
    this.parts.push(Buffer.from(text));
    return this;
  }
  u32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.parts.push(part);
    return this;
  }
  u64(value: bigint | number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.parts.push(part);
    return this;
  }
  string(text: string): this {
    return this.u64(Buffer.byteLength(text)).text(text);
  }
  tensor(name: string, dimensions: (bigint | number)[], type: number, offset: bigint | number): this {
    this.string(name).u32(dimensions.length);
    for (const dimension of dimensions) this.u64(dimension);
    return this.u32(type).u64(offset);
  }
  bytes(padding = 0): Buffer {
    return Buffer.concat([...this.parts, Buffer.alloc(padding)]);
  }
}

describe('a hostile file', () => {
  const refuse = (header: Header | Buffer, message: RegExp) =>
    expectFormatError(open(header instanceof Header ? header.bytes(256) : header), message);
  const MAX = 2n ** 64n - 1n;

  it('of another kind or version is refused', async () => {
    await refuse(Buffer.alloc(0), /too short/);
    await refuse(Buffer.from('GGUF'), /too short/);
    await refuse(Buffer.alloc(64), /not a GGUF file/);
    await refuse(new Header(0, 0, 1), /version: got 1; expected 2 or 3/);
    await refuse(new Header(0, 0, 0x03000000), /big-endian/);
    await refuse(new Header(0, 0, 4), /version: got 4/);
  });

  it('with impossible counts is refused', async () => {
    await refuse(new Header(MAX, 0), /number of tensors: got 18446744073709551615/);
    await refuse(new Header(0, MAX), /number of metadata fields/);
    await refuse(new Header(100, 0), /number of tensors: got 100; expected at most 11/);
    await refuse(new Header(0, 1).u64(MAX), /length of a metadata key/);
    await refuse(
      new Header(0, 1)
        .string('k')
        .u32(8)
        .u64(2 ** 40),
      /length of a metadata string/,
    );
    await refuse(new Header(0, 1).string('k').u32(9).u32(4).u64(MAX), /length of a metadata array/);
    await refuse(new Header(0, 1).string('k').u32(9).u32(9).u64(1000), /length of a metadata array/);
    await refuse(new Header(1, 0).u64(MAX), /length of a tensor name/);
    await refuse(new Header(0, 1).bytes(2), /number of metadata fields: got 1; expected at most 0/);
    await refuse(
      new Header(1, 0).string('t').u32(4).u64(1).u64(1).bytes(),
      /the file is truncated: got 16 more bytes; expected 44/,
    );
  });

  it('with broken metadata is refused', async () => {
    await refuse(new Header(0, 1).string('k').u32(13), /unknown metadata type: got 13/);
    await refuse(new Header(0, 1).string('k').u32(7).text('\x02'), /neither 0 nor 1/);
    await refuse(
      new Header(0, 2).string('k').u32(0).text('a').string('k').u32(0).text('b'),
      /appears twice: got "k"/,
    );
    await refuse(
      Buffer.concat([new Header(0, 1).u64(1).bytes(), Buffer.from([0xff]), Buffer.alloc(99)]),
      /UTF-8/,
    );
    const nested = new Header(0, 1).string('k').u32(9);
    for (let depth = 0; depth < 20; depth++) nested.u32(9).u64(1);
    await refuse(nested, /nested too deeply/);
    const aligned = (type: number, write: (header: Header) => Header) =>
      write(new Header(0, 1).string('general.alignment').u32(type));
    await refuse(
      aligned(4, (h) => h.u32(0)),
      /bad general.alignment: got u32 0/,
    );
    await refuse(
      aligned(4, (h) => h.u32(24)),
      /bad general.alignment/,
    );
    await refuse(
      aligned(10, (h) => h.u64(32)),
      /bad general.alignment: got u64 32/,
    );
  });

  it('with broken tensors is refused', async () => {
    await refuse(new Header(1, 0).tensor('t', [1, 1, 1, 1, 1], 0, 0), /too many dimensions: got 5/);
    await refuse(new Header(1, 0).string('t').u32(4_000_000_000), /too many dimensions/);
    await refuse(new Header(1, 0).tensor('t', [4], 4, 0), /unknown type: got 4/);
    await refuse(new Header(1, 0).tensor('t', [2n ** 32n, 2n ** 32n], 0, 0), /impossible shape/);
    await refuse(new Header(1, 0).tensor('t', [MAX], 0, 0), /impossible shape/);
    await refuse(new Header(1, 0).tensor('t', [31], 8, 0), /impossible shape: got Q8_0 \[31\]/);
    await refuse(new Header(1, 0).tensor('t', [4], 0, 5), /bad offset: got 5; expected a multiple of 32/);
    await refuse(new Header(1, 0).tensor('t', [4], 0, 2n ** 64n - 32n), /bad offset/);
    await refuse(new Header(1, 0).tensor('t', [4], 0, 2 ** 40), /beyond the end/);
    await refuse(new Header(1, 0).tensor('t', [1000], 0, 0), /beyond the end/);
    await refuse(new Header(2, 0).tensor('t', [4], 0, 0).tensor('t', [4], 0, 32), /appears twice/);
    const overlap = await refuse(
      new Header(2, 0).tensor('a', [9], 0, 0).tensor('b', [4], 0, 32),
      /"b" overlaps/,
    );
    expect(overlap.offset).toBeGreaterThan(24);
  });

  it('never makes anything but tensors of the right size or a CheckpointFormatError', async () => {
    const original = await serializeGguf(tensors, EVERY_TYPE);
    const random = randomNumbers(5);
    const within = (end: number) => Math.floor(random() * end);
    let refused = 0;
    for (let round = 0; round < 5000; round++) {
      let bytes = original.slice();
      for (let changes = 1 + within(3); changes > 0; changes--) {
        const kind = within(4);
        if (kind === 0) bytes[within(bytes.length)] = within(256);
        else if (kind === 1) bytes[within(bytes.length)] ^= 1 << within(8);
        else if (kind === 2) bytes = bytes.slice(0, 1 + within(bytes.length));
        else if (bytes.length > 32)
          new DataView(bytes.buffer).setBigUint64(
            within(bytes.length - 8),
            BigInt(within(999)) << BigInt(within(60)),
            true,
          );
      }
      try {
        const source = await open(bytes);
        for (const { name, byteLength } of source.entries.values()) {
          expect((await source.read(name)).byteLength).toBe(byteLength);
        }
      } catch (error) {
        if (!(error instanceof CheckpointFormatError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
  });
});

describe('files beyond 4 GB', () => {
  it('are read with exact positions', async () => {
    const far = 6 * 2 ** 30;
    const head = new Header(2, 0)
      .tensor('near', [2 ** 29, 3], 0, 0)
      .tensor('far', [2], 0, far)
      .bytes();
    const dataStart = Math.ceil(head.length / 32) * 32;
    // A sparse file: the header, zeros, and two numbers at the far end.
    const sparse: ByteSource = {
      name: 'sparse.gguf',
      size: dataStart + far + 8,
      async readInto(target, offset) {
        for (let i = 0; i < target.length; i++) {
          const at = offset + i;
          target[i] = at < head.length ? head[at] : at < dataStart + far ? 0 : at - dataStart - far;
        }
      },
      async close() {},
    };
    const source = await readGguf(sparse);
    expect(source.entries.get('near')).toMatchObject({ shape: [3, 2 ** 29], byteLength: 6 * 2 ** 30 });
    expect([...(await source.read('far'))]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([...(await source.readRange('near', far - 2, 2))]).toEqual([0, 0]);
  });
});
