import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type ByteSource,
  bytesSource,
  CheckpointError,
  ConversionError,
  parseJson,
  readTensors,
} from '../src/index.js';
import { mindsporeFile } from './other-formats.js';
import { fixture, randomNumbers } from './support.js';

/** Valid files of every kind that is read. */
const files: Record<string, Uint8Array> = {
  'plain.safetensors': readFileSync(fixture('plain.safetensors')),
  'dtypes.safetensors': readFileSync(fixture('dtypes.safetensors')),
  'small.gguf': readFileSync(fixture('small.gguf')),
  'paddle-protocol2.pdparams': readFileSync(fixture('paddle-protocol2.pdparams')),
  'paddle-protocol4.pdparams': readFileSync(fixture('paddle-protocol4.pdparams')),
  'model.ckpt': mindsporeFile([
    { name: 'a.weight', type: 'Float32', dims: [2, 2], bytes: new Uint8Array(16) },
    { name: 'b', type: 'Int64', dims: [3], bytes: new Uint8Array(24), packed: true },
  ]),
};

const ITERATIONS = 600;
const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x5b];

/** One to four changes: bytes, lengths, cuts, repetitions. Mostly near the front, where everything is described. */
function mutate(original: Uint8Array, random: () => number): Uint8Array {
  let bytes = Uint8Array.from(original);
  const place = () => Math.floor((random() < 0.7 ? random() ** 3 : random()) * bytes.length);
  for (let change = Math.floor(random() * 4); change >= 0 && bytes.length > 0; change--) {
    const at = place();
    const kind = random();
    if (kind < 0.35) bytes[at] ^= 1 << Math.floor(random() * 8);
    else if (kind < 0.6) bytes[at] = INTERESTING[Math.floor(random() * INTERESTING.length)];
    else if (kind < 0.75) bytes.fill(random() < 0.5 ? 0xff : 0, at, at + 1 + Math.floor(random() * 8));
    else if (kind < 0.85) bytes = bytes.slice(0, at);
    else {
      const piece = bytes.slice(at, at + Math.floor(random() * 64));
      const where = place();
      const joined = new Uint8Array(bytes.length + piece.length);
      joined.set(bytes.subarray(0, where));
      joined.set(piece, where);
      joined.set(bytes.subarray(where), where + piece.length);
      bytes = joined;
    }
  }
  return bytes;
}

/** Counts what is read: a hostile length must not make a reader go through the file again and again. */
function counting(bytes: Uint8Array, name: string): { source: ByteSource; readBytes: () => number } {
  const inner = bytesSource(bytes, name);
  let total = 0;
  const readInto = (target: Uint8Array, offset: number) => {
    total += target.byteLength;
    return inner.readInto(target, offset);
  };
  return { source: { ...inner, readInto }, readBytes: () => total };
}

describe('damaged files give an error of this package or valid tensors, never anything else', () => {
  it.each(Object.keys(files))('%s', async (name) => {
    const random = randomNumbers(name.length * 7919);
    let refused = 0;
    for (let i = 0; i < ITERATIONS; i++) {
      const bytes = mutate(files[name], random);
      const { source, readBytes } = counting(bytes, name);
      try {
        const tensors = await readTensors(source);
        for (const entry of tensors.entries.values()) {
          const content = await tensors.read(entry.name);
          expect(content.byteLength).toBe(entry.byteLength);
        }
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
        refused++;
      }
      expect(readBytes()).toBeLessThan(300 * bytes.length + 2 ** 20);
    }
    expect(refused).toBeGreaterThan(ITERATIONS / 10);
    expect(refused).toBeLessThan(ITERATIONS);
  });

  it('JSON', () => {
    const random = randomNumbers(5);
    const original = new TextEncoder().encode(
      '{"a":[1,2.5e3,true,null,"\\u00e9x"],"b":{"c":{"d":[[[]]]}},"e":-0}',
    );
    for (let i = 0; i < 3000; i++) {
      try {
        parseJson(mutate(original, random), 'fuzz.json');
      } catch (error) {
        if (!(error instanceof CheckpointError) && !(error instanceof ConversionError)) throw error;
      }
    }
  });
});
