import { type FloatDType, run, type Tensor } from '@frugal/tensor-core';
import type { PackedActivation } from '@frugal/tensor-core/formats';
import { type Epilogue, Linear } from '@frugal/tensor-core/nn';
import { type FakeQuantizer, fakeActivation } from './maths/fake-quantize.js';

/** A dense layer that multiplies as its packed successor will, and trains its exact weight. */
export class FakeQuantizedLinear extends Linear {
  readonly #quantizer: FakeQuantizer;
  readonly #rounded: PackedActivation;

  /** Shares the parameters of `layer`. */
  constructor(layer: Linear, quantizer: FakeQuantizer, activation: PackedActivation) {
    super(layer.weight, layer.bias?.value ?? null);
    this.#quantizer = quantizer;
    this.#rounded = activation;
  }

  override multiply(x: Tensor, { activation, residual }: Epilogue): Tensor {
    const { bias } = this;
    const weight = this.#quantizer(this.weight.value.cast('f32')).cast(x.dtype as FloatDType);
    const input = fakeActivation(x, this.#rounded);
    const inputs = [input, weight, ...(bias ? [bias.value] : []), ...(residual ? [residual] : [])];
    return run('linear', inputs, {
      copy: false,
      bias: bias !== null,
      residual: residual !== undefined,
      activation,
    });
  }
}
