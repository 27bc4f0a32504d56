import type { TensorInfo, TensorView } from '../backend.js';
import type { Tensor } from '../tensor.js';
import type { OpName, OpSpecs } from './specs.js';

/** Everything core knows of an op besides its values. */
export interface OpDefinition<N extends OpName> {
  /**
   * Shapes and dtypes of the outputs. The only place that refuses shapes, dtypes and axes: kernels trust it.
   * @throws ShapeError, DTypeError, AxisError, ArgumentError, all naming the op
   */
  infer(inputs: readonly TensorInfo[], attributes: OpSpecs[N]): readonly TensorInfo[];
  /** For views: where the output's elements lie in the input's storage. No kernel runs. */
  view?(input: TensorView, attributes: OpSpecs[N]): Pick<TensorView, 'strides' | 'offset'>;
  /** Reverse-mode rule, written with tensors. Left out: the op's outputs never carry gradients. */
  vjp?: Vjp<N>;
  /**
   * The same values from other ops, for backends without a kernel. Gradients follow `vjp` all the same; without one
   * they flow through those ops.
   */
  decompose?(inputs: readonly Tensor[], attributes: OpSpecs[N]): readonly Tensor[];
  /** Inputs that the op changes in place; a function where that depends on how many there are. */
  mutates?:
    | readonly number[]
    | ((inputs: readonly TensorInfo[], attributes: OpSpecs[N]) => readonly number[]);
  /** Of products: about how many multiply-adds an element of the first output takes. What checkpoints go by. */
  depth?(inputs: readonly TensorInfo[], attributes: OpSpecs[N]): number;
  /** Index tensors whose values core checks before a kernel runs, where the host can see them. */
  indices?(inputs: readonly TensorInfo[], attributes: OpSpecs[N]): readonly IndexBound[];
}

/** Inputs that a call of an op changes in place. */
export function mutatedInputs<N extends OpName>(
  { mutates = [] }: OpDefinition<N>,
  inputs: readonly TensorInfo[],
  attributes: OpSpecs[N],
): readonly number[] {
  return typeof mutates === 'function' ? mutates(inputs, attributes) : mutates;
}

export interface IndexBound {
  /** Which input holds the indices (i32). */
  readonly input: number;
  /** Indices must lie in 0..limit-1. */
  readonly limit: number;
  /** One more value that is allowed (ignored targets). */
  readonly allow?: number;
}

export interface Vjp<N extends OpName> {
  /** Inputs and outputs whose values `gradients` reads; core keeps only these alive for the backward walk. */
  readonly saves: { readonly inputs?: readonly number[] | 'all'; readonly outputs?: readonly number[] };
  /** Outputs that are by-products of the kernel and carry no gradient. */
  readonly constantOutputs?: readonly number[];
  /** One gradient per input, null where the input is constant or not differentiable. */
  gradients(context: VjpContext<N>): readonly (Tensor | null)[];
}

export interface VjpContext<N extends OpName> {
  readonly attributes: OpSpecs[N];
  readonly inputInfos: readonly TensorInfo[];
  readonly outputInfos: readonly TensorInfo[];
  /** Gradient of the loss with respect to output `index`; zeros when the loss does not depend on it. */
  gradient(index?: number): Tensor;
  /** Whether the loss depends on output `index` at all. */
  received(index: number): boolean;
  /** The saved value of an input; throws when `saves` does not list it. */
  input(index: number): Tensor;
  /** The saved value of an output; throws when `saves` does not list it. */
  output(index?: number): Tensor;
  /** Whether input `index` needs a gradient: skip work for the others. */
  needs(index: number): boolean;
}

export type OpDefinitions<N extends OpName = OpName> = { readonly [K in N]: OpDefinition<K> };

/** Types a family's table so that each entry is checked against the attributes of its own op. */
export function defineOps<N extends OpName>(definitions: OpDefinitions<N>): OpDefinitions<N> {
  return definitions;
}
