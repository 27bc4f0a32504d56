import { expect, it } from 'vitest';
import { fromStorage, PackedTensor, type Tensor, tensor, zeros } from '../index.js';
import { Linear, PackedLinear } from './linear.js';
import { bytesInTurn, modelBytes } from './model-bytes.js';
import { Buffer, Module, Parameter } from './module.js';

it('a view counts for itself, a tie once', () => {
  const whole = tensor(new Float32Array(1000));
  class Tied extends Module {
    readonly embed = new Parameter(whole.slice(0, 100, 160));
    readonly head = this.embed;
    readonly norm = new Parameter(whole.slice(0, 10, 20));
    readonly bias = new Buffer(zeros([5]));
  }
  expect(modelBytes(new Tied())).toBe(4 * (60 + 10 + 5));
});

it('weights that lie in a larger one, packed or not, count for themselves', () => {
  const file = zeros([4096], { dtype: 'u8' });
  const part = (from: number, shape: readonly number[], dtype: 'u8' | 'f32'): Tensor =>
    fromStorage(file.storage, from, { shape, dtype });
  const packed = new PackedLinear(new PackedTensor('q8_0', [4, 32], [part(64, [4, 34], 'u8')]));
  const dense = new Linear(part(1024, [4, 32], 'f32'), null);
  expect([packed.weightBytes, dense.weightBytes]).toEqual([4 * 34, 4 * 32 * 4]);
  class Both extends Module {
    readonly layers = [packed, dense, packed];
  }
  expect(modelBytes(new Both())).toBe(4 * 34 + 4 * 32 * 4);
});

it('in turn, what modules share counts for the first one', () => {
  const [shared, own] = [zeros([6]), zeros([4])];
  class Part extends Module {
    readonly values: readonly Parameter[];
    constructor(...values: Tensor[]) {
      super();
      this.values = values.map((value) => new Parameter(value));
    }
  }
  const parts = [new Part(shared.slice(0, 0, 2)), new Part(shared, own), new Part(own, shared)];
  expect(bytesInTurn(parts)).toEqual([4 * 2, 4 * (4 + 4), 0]);
  class Whole extends Module {
    readonly parts = parts;
  }
  expect(modelBytes(new Whole())).toBe(4 * 10);
});
