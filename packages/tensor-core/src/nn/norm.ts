import {
  addRmsNorm,
  type DType,
  layerNorm,
  noGrad,
  ones,
  rmsNorm,
  scope,
  type Tensor,
  zeros,
} from '../index.js';
import { isWatched } from './hooks.js';
import { Module, Parameter } from './module.js';

/** x / √(mean(x²) + ε) · (offset + weight) over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467). */
export class RMSNorm extends Module {
  readonly weight: Parameter;

  constructor(
    weight: Tensor,
    readonly epsilon: number,
    /** 1 for Gemma, whose checkpoints hold the distance of the factor from 1. */
    readonly offset: 0 | 1 = 0,
  ) {
    super();
    this.weight = new Parameter(weight);
  }

  static init(size: number, epsilon: number): RMSNorm {
    return new RMSNorm(ones([size]), epsilon);
  }

  /** [..., C] → [..., C]. */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.factor(x.dtype), this.epsilon);
  }

  /** Multiplies channel c of the output by factors[c]; f32 [C]. */
  scaleOutput(factors: Tensor): void {
    const { value } = this.weight;
    this.weight.value = noGrad(() =>
      scope(() => value.cast('f32').add(this.offset).mul(factors).sub(this.offset).cast(value.dtype)),
    );
  }

  /** The residual sum x + y [..., C] and its norm: one op, or two when hooks want to see what the norm reads. */
  addForward(x: Tensor, y: Tensor): { readonly sum: Tensor; readonly normalized: Tensor } {
    if (isWatched(this)) {
      const sum = x.add(y);
      return { sum, normalized: this.forward(sum) };
    }
    return addRmsNorm(x, y, this.factor(x.dtype), this.epsilon);
  }

  private factor(dtype: DType): Tensor {
    const { value } = this.weight;
    return this.offset === 0 ? value.cast(dtype) : value.cast('f32').add(1).cast(dtype);
  }
}

export class LayerNorm extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(
    weight: Tensor,
    bias: Tensor,
    readonly epsilon: number,
  ) {
    super();
    this.weight = new Parameter(weight);
    this.bias = new Parameter(bias);
  }

  static init(size: number, epsilon: number): LayerNorm {
    return new LayerNorm(ones([size]), zeros([size]), epsilon);
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight.value.cast(x.dtype), this.bias.value.cast(x.dtype), this.epsilon);
  }

  /** Multiplies channel c of the output by factors[c]; f32 [C]. */
  scaleOutput(factors: Tensor): void {
    for (const parameter of [this.weight, this.bias]) {
      const { value } = parameter;
      parameter.value = noGrad(() => scope(() => value.cast('f32').mul(factors).cast(value.dtype)));
    }
  }
}
