import type { PackedActivation } from '../formats/index.js';
import {
  ArgumentError,
  applyActivation,
  type FloatDType,
  type GateActivation,
  isTraining,
  keep,
  noGrad,
  type PackedTensor,
  type Random,
  run,
  scope,
  type Tensor,
  zeros,
} from '../index.js';
import { isWatched } from './hooks.js';
import { Module, Parameter } from './module.js';

/** What travels with the rows of a step beside the activations. */
export interface RowContext {
  /** i32 [N]: which adapter each row uses, -1 for none. */
  readonly adapterOfRow?: Tensor | undefined;
}

/** How activations are quantised before a product, per token. */
export type ActivationFormat = Exclude<PackedActivation, 'none'>;

/**
 * A matrix that multiplies activations, whatever it is made of: dense, packed, sparse, masked, adapted. Pruning,
 * quantisation and adapters see nothing else, so methods add instead of multiply.
 */
export interface LinearLike extends Module {
  /** x [..., inFeatures] → [..., outFeatures]. */
  forward(x: Tensor, rows?: RowContext): Tensor;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: Parameter | null;
  /** Multiplies column c of the weight by factors[c]; f32 [inFeatures]. */
  scaleColumns(factors: Tensor): void;
  /** The matrix that forward() applies, as f32 rows [count, inFeatures]. */
  effectiveWeight(rowStart?: number, rowCount?: number): Tensor;
  /** The layer underneath adapters and masks; a plain layer is its own base. */
  readonly base: LinearLike;
  /** Swaps the layer underneath; returns what now belongs at this path. */
  replaceBase(layer: LinearLike): LinearLike;
  readonly activation: ActivationFormat | null;
  /** Bytes that the weight occupies. */
  readonly weightBytes: number;
}

export function isLinearLike(module: Module): module is LinearLike {
  return 'effectiveWeight' in module && 'inFeatures' in module;
}

/** How a dense layer multiplies: `int8` rounds the operands to whole numbers, forward and for the gradient of the input. */
export type Products = 'float' | 'int8';

/** Dense weight [outFeatures, inFeatures], computed in the dtype of the input. */
export class Linear extends Module implements LinearLike {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly activation = null;
  products: Products = 'float';

  constructor(weight: Tensor | Parameter, bias: Tensor | null = null) {
    super();
    this.weight = weight instanceof Parameter ? weight : new Parameter(weight);
    this.bias = bias && new Parameter(bias);
  }

  /** Weights from a normal distribution of standard deviation `std`, default inFeatures^-0.5; bias zero. */
  static init(
    inFeatures: number,
    outFeatures: number,
    { random, std = inFeatures ** -0.5, bias = false }: { random: Random; std?: number; bias?: boolean },
  ): Linear {
    const weight = scope(() => random.normal([outFeatures, inFeatures]).mul(std));
    return new Linear(weight, bias ? zeros([outFeatures]) : null);
  }

  get inFeatures(): number {
    return this.weight.shape[1];
  }
  get outFeatures(): number {
    return this.weight.shape[0];
  }
  get base(): LinearLike {
    return this;
  }
  get weightBytes(): number {
    return this.weight.value.byteLength;
  }

  forward(x: Tensor): Tensor {
    return this.multiply(x, {});
  }

  /** What {@link forwardInto} fuses into the product. */
  multiply(x: Tensor, { activation, residual }: Epilogue): Tensor {
    const { weight, bias, products } = this;
    const isInt8 = products === 'int8';
    const copy = isInt8 || x.dtype === weight.value.dtype ? [] : [weight.rounded(x.dtype as FloatDType)];
    const inputs = [x, weight.value, ...copy, ...(bias ? [bias.value] : []), ...(residual ? [residual] : [])];
    const attributes = { copy: copy.length > 0, bias: bias !== null, residual: residual !== undefined };
    return run(isInt8 ? 'int8Linear' : 'linear', inputs, { ...attributes, activation });
  }

  scaleColumns(factors: Tensor): void {
    const { dtype } = this.weight.value;
    this.weight.value = noGrad(() => scope(() => this.weight.value.cast('f32').mul(factors).cast(dtype)));
  }

  effectiveWeight(rowStart = 0, rowCount = this.outFeatures - rowStart): Tensor {
    return this.weight.value.slice(0, rowStart, rowStart + rowCount).cast('f32');
  }

  replaceBase(layer: LinearLike): LinearLike {
    return layer;
  }
}

/** A packed weight, used as it is; constant, but gradients flow through it to the input. */
export class PackedLinear extends Module implements LinearLike {
  readonly bias: Parameter | null;
  readonly activation: ActivationFormat | null;

  constructor(
    readonly weight: PackedTensor,
    {
      bias = null,
      activation = null,
    }: { bias?: Parameter | null; activation?: ActivationFormat | null } = {},
  ) {
    super();
    keep(weight);
    this.bias = bias;
    this.activation = activation;
  }

  get inFeatures(): number {
    return this.weight.shape[1];
  }
  get outFeatures(): number {
    return this.weight.shape[0];
  }
  get base(): LinearLike {
    return this;
  }
  get weightBytes(): number {
    return this.weight.byteLength;
  }

  forward(x: Tensor): Tensor {
    return addBias(this.weight.matmul(x, this.activation ?? 'none'), this.bias);
  }

  scaleColumns(): void {
    throw new ArgumentError({
      where: 'PackedLinear.scaleColumns',
      what: `columns of a ${this.weight.format} weight cannot be scaled without rounding again`,
      hint: 'Scale before quantising.',
    });
  }

  effectiveWeight(rowStart?: number, rowCount?: number): Tensor {
    return this.weight.unpack(rowStart, rowCount);
  }

  replaceBase(layer: LinearLike): LinearLike {
    return layer;
  }

  override dispose(): void {
    super.dispose();
    this.weight.dispose();
  }
}

/** What follows the product of a layer: activation(layer(x)) + residual. */
export interface Epilogue {
  readonly activation?: GateActivation | undefined;
  readonly residual?: Tensor | undefined;
}

/**
 * activation(layer(x)) + residual; a dense layer does it in one pass over its result. While gradients will be taken the
 * activation stays an op of its own, so that the backward pass need not multiply again.
 */
export function forwardInto(layer: LinearLike, x: Tensor, epilogue: Epilogue, rows?: RowContext): Tensor {
  const { activation, residual } = epilogue;
  const isFused = layer instanceof Linear && !isWatched(layer) && !(activation && isTraining());
  if (isFused) return layer.multiply(x, epilogue);
  const y = layer.forward(x, rows);
  const activated = activation ? applyActivation(activation, y) : y;
  return residual ? activated.add(residual) : activated;
}

function addBias(y: Tensor, bias: Parameter | null): Tensor {
  return bias ? y.add(bias.value.cast(y.dtype)) : y;
}
