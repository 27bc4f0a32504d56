import { addRmsNorm, layerNorm, ones, rmsNorm, type Tensor, zeros } from '../index.js';
import { isWatched } from './hooks.js';
import { Module, Parameter } from './module.js';

export class RMSNorm extends Module {
  readonly weight: Parameter;

  constructor(
    weight: Tensor,
    readonly epsilon: number,
  ) {
    super();
    this.weight = new Parameter(weight);
  }

  static init(size: number, epsilon: number): RMSNorm {
    return new RMSNorm(ones([size]), epsilon);
  }

  /** [..., C] → [..., C]. */
  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight.value.cast(x.dtype), this.epsilon);
  }

  /** The residual sum x + y [..., C] and its norm: one op, or two when hooks want to see what the norm reads. */
  addForward(x: Tensor, y: Tensor): { readonly sum: Tensor; readonly normalized: Tensor } {
    if (isWatched(this)) {
      const sum = x.add(y);
      return { sum, normalized: this.forward(sum) };
    }
    return addRmsNorm(x, y, this.weight.value.cast(x.dtype), this.epsilon);
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
}
