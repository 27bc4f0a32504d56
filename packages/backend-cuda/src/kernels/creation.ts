import { type OpSpecs, sizeOf, type TensorView } from '@frugal/tensor-core';
import { attribute, type Value } from '../binding.js';
import type { Device } from '../device.js';
import { write } from '../views.js';
import type { Family } from './family.js';

/** TensorFlow's number for Philox4x32-10, the generator that Frugal defines its random numbers by. */
const PHILOX = 1;

/** u64 numbers, each given as two words, lowest first. */
function unsigned64(device: Device, words: readonly number[]): Value {
  const bytes = new Uint8Array(Uint32Array.from(words).buffer);
  return device.bitcast(device.create([words.length / 2, 8], 'u8', bytes), 'u64');
}

/** Uniform numbers in [0, 1) of 24 bits, a whole number of blocks of four: [blocks, 4] f32. */
function uniformBlocks(device: Device, output: TensorView, attributes: OpSpecs['randomUniform']): Value {
  const blocks = Math.ceil(sizeOf(output.shape) / 4);
  const { seed, counter } = attributes;
  const key = unsigned64(device, seed);
  const start = unsigned64(device, [counter >>> 0, Math.floor(counter / 2 ** 32), 0, 0]);
  const words = device.run(
    'StatelessRandomUniformFullIntV2',
    [device.vector([blocks, 4]), key, start, device.scalar(PHILOX, 'i32')],
    [attribute.type('dtype', 'u32')],
  );
  const high = device.run('RightShift', [words, shiftOf(device, 8)]);
  return device.run('Mul', [device.cast(device.cast(high, 'i64'), 'f32'), device.scalar(2 ** -24, 'f32')]);
}

function shiftOf(device: Device, bits: number): Value {
  return device.constant(`u32 ${bits}`, () => device.cast(device.scalar(bits, 'i32'), 'u32'));
}

function writeFront(device: Device, output: TensorView, blocks: Value): void {
  const [size, total] = [sizeOf(output.shape), sizeOf(blocks.shape)];
  const front = device.slice(device.reshape(blocks, [total]), [0], [size]);
  write(device, output, device.cast(device.reshape(front, output.shape), output.dtype));
}

export const creationKernels: Family<'fill' | 'arange' | 'randomUniform' | 'randomNormal'> = (device) => ({
  fill: (_, [output], { value }) => {
    const number = output.dtype === 'bool' ? Number(value !== 0) : value;
    write(device, output, device.fill(output.shape, number, output.dtype));
  },

  arange: (_, [output], { start, step, count, dtype }) => {
    const [zero, one] = [device.scalar(0, 'i32'), device.scalar(1, 'i32')];
    const index = device.run('Range', [zero, device.scalar(count, 'i32'), one]);
    const [first, by] = [start, step].map((number) => wide(device, number));
    const numbers = device.run('AddV2', [device.run('Mul', [device.cast(index, 'f64'), by]), first]);
    write(device, output, device.cast(numbers, dtype));
  },

  // Element i is word i mod 4 of block counter + ⌊i / 4⌋.
  randomUniform: (_, [output], attributes) =>
    writeFront(device, output, uniformBlocks(device, output, attributes)),

  // Box–Muller: words (0, 1) of a block give elements 0 and 1, words (2, 3) elements 2 and 3.
  randomNormal: (_, [output], attributes) => {
    const pairs = device.reshape(uniformBlocks(device, output, attributes), [-1, 2]);
    const count = pairs.shape[0];
    const [first, second] = [0, 1].map((column) => device.slice(pairs, [0, column], [count, 1]));
    const positive = device.run('AddV2', [first, device.scalar(2 ** -24, 'f32')]); // in (0, 1]: the logarithm is finite
    const squared = device.run('Mul', [device.run('Log', [positive]), device.scalar(-2, 'f32')]);
    const radius = device.run('Sqrt', [squared]);
    const angle = device.run('Mul', [second, device.scalar(2 * Math.PI, 'f32')]);
    const both = ['Cos', 'Sin'].map((op) => device.run('Mul', [radius, device.run(op, [angle])]));
    writeFront(device, output, device.concat(both, 1));
  },
});

/** An f64 number with all its bits: those of f32 and what is left. */
function wide(device: Device, number: number): Value {
  return device.constant(`f64 ${number}`, () => {
    const bytes = new Uint8Array(Float64Array.of(number).buffer);
    return device.bitcast(device.create([8], 'u8', bytes), 'f64');
  });
}
