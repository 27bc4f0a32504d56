import { describe, expect, it } from 'vitest';
import {
  bytesSource,
  CheckpointFormatError,
  readSafetensors,
  readTensors,
  serializeSafetensors,
  tensorInput,
} from '../src/index.js';
import { expectFormatError, randomNumbers } from './support.js';

/** A file with this header text and this many bytes of data. */
function file(header: string | Uint8Array, dataLength = 0, lengthField?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.byteLength + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, lengthField ?? BigInt(json.byteLength), true);
  bytes.set(json, 8);
  return bytes;
}

const open = (bytes: Uint8Array) => readSafetensors(bytesSource(bytes, 'x.safetensors'));
const refuse = (bytes: Uint8Array, message: RegExp) => expectFormatError(open(bytes), message);
const tensor = (shape: string, offsets: string, dtype = 'F32') =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

describe('a safetensors header', () => {
  it('must have a possible length', async () => {
    await refuse(new Uint8Array(0), /too short/);
    await refuse(new Uint8Array(7), /too short/);
    await refuse(file('{}', 0, 0n), /header length is impossible: got 0/);
    await refuse(file('{}', 0, 3n), /got 3 bytes in a file of 10 bytes; expected 2 to 2/);
    await refuse(file('{}', 0, 2n ** 31n), /header length is impossible/);
    await refuse(file('{}', 0, 2n ** 64n - 1n), /header length is impossible: got 18446744073709551615/);
    const huge = {
      name: 'x',
      size: 1e13,
      readInto: async (b: Uint8Array) => void b.fill(0x7f, 0, 4),
      close: async () => {},
    };
    await expectFormatError(readSafetensors(huge), /expected 2 to 100000000/);
  });

  it('must be an object in UTF-8', async () => {
    expect((await refuse(file('[]'), /no JSON object: got byte 0x5b/)).offset).toBe(8);
    await refuse(file('\ufeff{}'), /no JSON object/);
    await refuse(file(Uint8Array.of(0x7b, 0x22, 0xc3, 0x22, 0x7d)), /not valid UTF-8/);
    await refuse(file(`{"a":${'['.repeat(100_000)}`), /malformed JSON/);
    await refuse(file(`{"a":{"shape":${'['.repeat(100_000)}`), /not a count/);
    await refuse(file('{} x'), /text after the end/);
  });

  it('must name each tensor once, completely and with known words', async () => {
    const one = tensor('[1]', '[0,4]');
    const twice = await refuse(file(`{"a":${one},"a":${one}}`, 4), /a key appears twice: got "a"/);
    expect(twice.offset).toBe(8 + `{"a":${one},`.length);
    await refuse(file(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), /twice/);
    await refuse(file('{"a":{"dtype":"F32","shape":[1]}}', 4), /incomplete/);
    await refuse(file(`{"a":${tensor('[1]', '[0,4,8]')}}`, 4), /incomplete/);
    await refuse(file('{"a":{}}', 4), /incomplete/);
    await refuse(file(`{"a":${tensor('[1]', '[0,4]', 'Q4_0')}}`, 4), /unknown dtype: got "Q4_0"/);
    await refuse(file(`{"a":${tensor('[1]', '[0,4]', '__proto__')}}`, 4), /unknown dtype/);
    await refuse(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4), /unknown field/);
    await refuse(file('{"__metadata__":{"a":1}}'), /malformed JSON/);
    await refuse(file('{"__metadata__":{"a":"1","a":"2"}}'), /twice/);
    await refuse(file(`{"\\ud800":${one}}`, 4), /not valid Unicode/);
  });

  it('must have counts for counts', async () => {
    for (const bad of [
      '-1',
      '1.0',
      '1e0',
      'NaN',
      'Infinity',
      '-Infinity',
      '01',
      '9007199254740992',
      '1e400',
      '"1"',
      'null',
      '[]',
    ]) {
      await refuse(file(`{"a":${tensor(`[${bad}]`, '[0,4]')}}`, 4), /not a count/);
      await refuse(file(`{"a":${tensor('[1]', `[0,${bad}]`)}}`, 4), /not a count/);
    }
    await refuse(file(`{"a":${tensor('[4294967296,4294967296]', '[0,4]')}}`, 4), /impossible shape/);
    await refuse(file(`{"a":${tensor('[9007199254740991]', '[0,4]')}}`, 4), /impossible shape/);
    await refuse(file(`{"a":${tensor('[3]', '[0,2]', 'F4')}}`, 2), /impossible shape/);
  });

  it('must place the tensors side by side over all of the file', async () => {
    const a = (offsets: string) => `"a":${tensor('[1]', offsets)}`;
    const b = (offsets: string) => `"b":${tensor('[1]', offsets)}`;
    await refuse(
      file(`{${a('[0,8]')}}`, 8),
      /wrong length: got offsets 0 to 8, 8 bytes; expected 4 bytes for F32 \[1\]/,
    );
    await refuse(file(`{${a('[4,0]')}}`, 4), /wrong length/);
    await refuse(file(`{${a('[0,4]')},${b('[2,6]')}}`, 6), /tensor "b" overlaps/);
    await refuse(file(`{${a('[0,4]')},${b('[0,4]')}}`, 4), /overlaps/);
    await refuse(file(`{${a('[0,4]')},${b('[8,12]')}}`, 12), /tensor "b" leaves a hole/);
    await refuse(file(`{${a('[4,8]')}}`, 8), /tensor "a" leaves a hole/);
    await refuse(file(`{${a('[0,4]')}}`, 3), /truncated: got 3 bytes of data; expected 4/);
    await refuse(file(`{${a('[0,4]')}}`, 5), /belong to no tensor/);
    await refuse(file('{}', 1), /belong to no tensor/);
    const header = `{${a('[0,4]')}}`;
    expect((await refuse(file(header, 3), /truncated/)).offset).toBe(8 + header.length + 3);
  });

  it('may have no tensors, empty tensors and scalars', async () => {
    expect((await open(file('{}'))).entries.size).toBe(0);
    const source = await open(
      file(
        `{"e":${tensor('[0,4]', '[4,4]')},"s":${tensor('[]', '[0,4]')},"f":${tensor('[0]', '[0,0]')}}   `,
        4,
      ),
    );
    expect((await source.read('e')).byteLength).toBe(0);
    expect((await source.read('s')).byteLength).toBe(4);
  });
});

async function sample(): Promise<Uint8Array> {
  const random = randomNumbers(7);
  const values = Float32Array.from({ length: 12 }, random);
  return serializeSafetensors(
    [
      tensorInput('model.layers.0.weight', 'F32', [3, 4], values),
      tensorInput('model.norm', 'BF16', [4], new Uint16Array(4).fill(0x3f80)),
      tensorInput('mask', 'BOOL', [3], Uint8Array.of(1, 0, 1)),
      tensorInput('empty', 'I64', [0, 2], new Uint8Array(0)),
    ],
    { format: 'pt' },
  );
}

/** Changes a file at random: bytes, bits, digits, runs, length, or the length field. */
function mutate(original: Uint8Array, random: () => number): Uint8Array {
  const bytes = original.slice();
  const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const within = (end: number) => Math.floor(random() * end);
  for (let changes = 1 + within(3); changes > 0; changes--) {
    const kind = within(7);
    if (kind === 0) bytes[within(bytes.length)] = within(256);
    else if (kind === 1) bytes[within(headerEnd)] ^= 1 << within(8);
    else if (kind === 2) bytes[8 + within(headerEnd - 8)] = '0123456789[]{}",:-eEN '.charCodeAt(within(22));
    else if (kind === 3) return bytes.slice(0, within(bytes.length));
    else if (kind === 4) return Uint8Array.of(...bytes, ...new Uint8Array(1 + within(9)));
    else if (kind === 5) bytes.copyWithin(within(headerEnd), within(headerEnd), within(headerEnd));
    else new DataView(bytes.buffer).setBigUint64(0, BigInt(within(300)) << BigInt(within(64)), true);
  }
  return bytes;
}

describe('fuzzing', () => {
  it('gives tensors of the right size or a CheckpointFormatError, never anything else', async () => {
    const original = await sample();
    const random = randomNumbers(11);
    const outcomes = { same: 0, other: 0, refused: 0 };
    for (let round = 0; round < 20_000; round++) {
      const bytes = mutate(original, random);
      try {
        const source = await readTensors(bytesSource(bytes));
        let total = 0;
        for (const { name, byteLength } of source.entries.values()) {
          expect((await source.read(name)).byteLength).toBe(byteLength);
          total += byteLength;
        }
        expect(total).toBeLessThan(bytes.length);
        outcomes[Buffer.compare(bytes, original) === 0 ? 'same' : 'other']++;
      } catch (error) {
        if (!(error instanceof CheckpointFormatError)) throw error;
        expect(error.file).toBe('bytes');
        if (error.offset !== undefined) expect(error.offset).toBeLessThanOrEqual(bytes.length);
        outcomes.refused++;
      }
    }
    // Changed names or data cannot be noticed; most changes are.
    expect(outcomes.refused).toBeGreaterThan(10_000);
    expect(outcomes.other).toBeGreaterThan(100);
  });
});
