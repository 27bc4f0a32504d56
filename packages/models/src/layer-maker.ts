import { StackedLinear } from '@frugal/moe';
import { Embedding, LayerNorm, Linear, RMSNorm } from '@frugal/tensor-core/nn';
import type { Initializer } from './families/family.js';

/** Makes the layers of one model: every parameter comes from the initializer, with its path, shape and kind. */
export class LayerMaker {
  constructor(
    readonly initialize: Initializer,
    private readonly epsilon: number,
    /** 1 for families whose norms hold the distance from 1. */
    private readonly normOffset: 0 | 1 = 0,
  ) {}

  embedding(path: string, rows: number, size: number): Embedding {
    return new Embedding(this.initialize(`${path}.weight`, [rows, size], 'embedding'));
  }

  /** `output` marks layers that write into the residual stream. */
  linear(
    path: string,
    [inputs, outputs]: readonly [inputs: number, outputs: number],
    { bias = false, output = false } = {},
  ): Linear {
    return new Linear(
      this.initialize(`${path}.weight`, [outputs, inputs], output ? 'output-projection' : 'input-projection'),
      bias ? this.initialize(`${path}.bias`, [outputs], 'bias') : null,
    );
  }

  /** The same for every expert. */
  stacked(
    path: string,
    experts: number,
    [inputs, outputs]: readonly [inputs: number, outputs: number],
    { output = false } = {},
  ): StackedLinear {
    const kind = output ? 'output-projection' : 'input-projection';
    return new StackedLinear(this.initialize(`${path}.weight`, [experts, outputs, inputs], kind));
  }

  norm(path: string, size: number, epsilon = this.epsilon): RMSNorm {
    const kind = this.normOffset === 0 ? 'norm' : 'norm-from-one';
    return new RMSNorm(this.initialize(`${path}.weight`, [size], kind), epsilon, this.normOffset);
  }

  layerNorm(path: string, size: number): LayerNorm {
    const weight = this.initialize(`${path}.weight`, [size], 'norm');
    return new LayerNorm(weight, this.initialize(`${path}.bias`, [size], 'bias'), this.epsilon);
  }
}
