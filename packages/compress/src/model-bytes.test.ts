import { tensor, zeros } from '@frugal/tensor-core';
import { Buffer, Module, Parameter } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';
import { modelBytes } from './model-bytes.js';

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
