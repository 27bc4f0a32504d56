import { ArgumentError, noGrad, type Random, scope, type Tensor } from '@frugal/tensor-core';

/** The matrices of a gated MLP, f32: gate and up [F, C], down [C, F]. */
export interface FeedForwardWeights {
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
}

export interface UpcycleOptions {
  /** Routed experts, E. */
  readonly experts: number;
  /** Experts per token, k. */
  readonly chosen: number;
  /** Pieces of equal size that each feed-forward layer is cut into, so that experts are that much smaller. Default 1. */
  readonly slices?: number;
  /** How many of the pieces become experts that every token uses; the others are copied and routed. Default 0. */
  readonly shared?: number;
}

/** What comes out of {@link UpcycleOptions} for layers of a size. */
export interface UpcyclePlan extends Required<UpcycleOptions> {
  /** F of each expert. */
  readonly size: number;
  /** F of the shared experts together. */
  readonly sharedSize: number;
  /** Pieces that are routed. Expert e is piece e mod routed of copy e div routed. */
  readonly routed: number;
  /** Copies of each routed piece. */
  readonly copies: number;
}

/**
 * The sizes of a model that computes what the dense one does: a token must choose whole copies, so both E and k are
 * multiples of the routed pieces.
 * @throws ArgumentError when they are not, or pieces do not divide the layer
 */
export function planUpcycle(
  { experts, chosen, slices = 1, shared = 0 }: UpcycleOptions,
  feedForwardSize: number,
): UpcyclePlan {
  const refuse = (what: string, got: string, expected: string): never => {
    throw new ArgumentError({ where: 'upcycle', what, got, expected });
  };
  if (!isWhole(slices, 1) || feedForwardSize % slices !== 0)
    refuse('the pieces do not divide the layer', `${slices} of ${feedForwardSize} neurons`, 'a divisor');
  if (!isWhole(shared, 0) || shared >= slices)
    refuse('shared pieces out of range', String(shared), `0 to ${slices - 1}, fewer than there are pieces`);
  const routed = slices - shared;
  const multiple = `a multiple of ${routed}, the routed pieces, so that every token can have all of them`;
  if (!isWhole(experts, 1) || experts % routed !== 0)
    refuse('experts are no whole copies', String(experts), multiple);
  if (!isWhole(chosen, 1) || chosen % routed !== 0)
    refuse('the chosen experts are no whole copies', String(chosen), multiple);
  if (chosen > experts) refuse('more experts per token than there are', String(chosen), `at most ${experts}`);
  const size = feedForwardSize / slices;
  return {
    ...{ experts, chosen, slices, shared, size, routed },
    sharedSize: shared * size,
    copies: experts / routed,
  };
}

/**
 * The experts of a layer (He et al. 2024, arXiv:2410.07524; Komatsuzaki et al. 2023, arXiv:2212.05055): gate and up
 * [E, F, C], down [E, C, F]. Down is multiplied by the routed pieces: with weights that sum to one, and equal ones within a
 * copy ({@link expertRouter}), each chosen copy then counts by its weight and all together give the dense layer.
 * `noise` is a share of the standard deviation of each matrix, added to all copies but the first: experts that differ from
 * the start, at the price of that equality.
 */
export function expertStacks(
  weights: FeedForwardWeights,
  plan: UpcyclePlan,
  { noise = 0, random }: { readonly noise?: number; readonly random?: Random } = {},
): FeedForwardWeights {
  const { routed, sharedSize } = plan;
  const stack = (rows: Tensor, turned: boolean, stream: number) => {
    const [F, C] = rows.shape;
    const pieces = rows.slice(0, sharedSize, F).reshape(routed, plan.size, C);
    const copies = repeated(turned ? pieces.transpose(1, 2).contiguous() : pieces, plan.copies);
    return noise > 0 && random ? disturbed(copies, { routed, noise, random: random.fork(stream) }) : copies;
  };
  return noGrad(() => ({
    gate: scope(() => stack(weights.gate, false, 1)),
    up: scope(() => stack(weights.up, false, 2)),
    down: scope(() => stack(weights.down.transpose(), true, 3).mul(routed)),
  }));
}

/** The pieces that every token uses, as one MLP; down is multiplied by `factor`, against a gate behind it. */
export function sharedExperts(
  { gate, up, down }: FeedForwardWeights,
  { sharedSize }: UpcyclePlan,
  factor = 1,
): FeedForwardWeights {
  return noGrad(() => ({
    gate: gate.slice(0, 0, sharedSize).copy(),
    up: up.slice(0, 0, sharedSize).copy(),
    down: scope(() => down.slice(1, 0, sharedSize).contiguous().mul(factor)),
  }));
}

/** A router [E, C] from one direction per copy, [copies, C]: pieces of a copy get equal logits, so they go together. */
export function expertRouter(directions: Tensor, { routed, copies, experts }: UpcyclePlan): Tensor {
  const C = directions.shape[1];
  return noGrad(() =>
    directions.copy().reshape(copies, 1, C).expand(copies, routed, C).contiguous().reshape(experts, C),
  );
}

/** [R, …] → [copies · R, …]. */
function repeated(pieces: Tensor, copies: number): Tensor {
  const [R, ...rest] = pieces.shape;
  if (copies === 1) return pieces.copy();
  return pieces
    .reshape(1, R, ...rest)
    .expand(copies, R, ...rest)
    .contiguous()
    .reshape(copies * R, ...rest);
}

function disturbed(
  stack: Tensor,
  { routed, noise, random }: { readonly routed: number; readonly noise: number; readonly random: Random },
): Tensor {
  const [E, ...rest] = stack.shape;
  const deviation = stack.mul(stack).mean().sqrt().mul(noise);
  const rows = random.normal([E - routed, ...rest], { backend: stack.backend }).mul(deviation);
  return stack.add(rows.pad([routed, ...rest.map(() => 0)], [0, ...rest.map(() => 0)]));
}

function isWhole(value: number, least: number): boolean {
  return Number.isInteger(value) && value >= least;
}
