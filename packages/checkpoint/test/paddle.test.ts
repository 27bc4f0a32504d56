import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bytesSource, readTensors, toFloat32 } from '../src/index.js';
import { fixture } from './support.js';

const open = (bytes: Uint8Array) => readTensors(bytesSource(bytes, 'model.pdparams'));
const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

describe('PaddlePaddle weights', () => {
  it.each([2, 4])('are read from pickles of protocol %i, as Python wrote them', async (protocol) => {
    const source = await open(readFileSync(fixture(`paddle-protocol${protocol}.pdparams`)));
    expect([...source.entries.keys()]).toEqual(['linear.weight', 'linear.bias', 'steps', 'half']);
    expect([...toFloat32(await source.read('linear.weight'), 'F32')]).toEqual([0, 0.5, 1, 1.5, 2, 2.5]);
    expect(source.entries.get('linear.weight')).toMatchObject({ dtype: 'F32', shape: [2, 3] });
    expect([...toFloat32(await source.readRange('linear.weight', 4, 8), 'F32')]).toEqual([0.5, 1]);
    expect(source.entries.get('steps')).toMatchObject({ dtype: 'I64', shape: [] });
    expect(source.entries.get('half')).toMatchObject({ dtype: 'F16', shape: [1] });
  });

  it.each(['os.system', 'builtins.eval', 'numpy.load', 'posix.system'])('never call %s', async (name) => {
    const [module, call] = name.split('.');
    const pickle = ascii(`\x80\x02c${module}\n${call}\nX\x04\x00\x00\x00true\x85R.`);
    await expect(open(pickle)).rejects.toThrow(/wants to call what is not a number array: got "/);
  });

  it.each([
    ['cut off', '\x80\x02}'],
    ['bytes longer than the file', '\x80\x02B\xff\xff\xff\x7f'],
    ['text longer than the file', '\x80\x02X\xff\xff\xff\x7f'],
    ['nothing on the stack', '\x80\x02.'],
    ['a mark that is missing', '\x80\x02u.'],
    ['no dict', '\x80\x02K\x01.'],
    ['an endless number', '\x80\x02\x8a\xff.'],
  ])('are refused: %s', async (_, pickle) => {
    await expect(open(ascii(pickle))).rejects.toThrow(/^\[model\.pdparams/);
  });
});
