import {
  ArgumentError,
  noGrad,
  ShapeError,
  scatterAddAlongAxis,
  softmaxTopK,
  type Tensor,
  topK,
  where,
  zeros,
} from '@frugal/tensor-core';
import { Buffer, Module, Parameter } from '@frugal/tensor-core/nn';

/** Only experts of the best groups can be chosen (DeepSeek-V2, arXiv:2405.04434, §2.2.2: fewer machines per token). */
export interface RoutingGroups {
  /** Experts are divided into this many groups of equal size, in order. */
  readonly count: number;
  /** Groups that a token may use. */
  readonly chosen: number;
  /** What makes a group good: its best expert (DeepSeek-V2), or its two best together (DeepSeek-V3). */
  readonly score: 'best' | 'bestTwo';
}

export interface RoutingOptions {
  /** Experts per token, k. */
  readonly chosen: number;
  /** Scores of the experts from logits: they compete (softmax), or each stands for itself (sigmoid). */
  readonly gate: 'softmax' | 'sigmoid';
  /** Divide the weights of the chosen experts by their sum. */
  readonly normalize: boolean;
  /** Factor on all weights; default 1. */
  readonly scale?: number;
  readonly groups?: RoutingGroups | null;
}

/** Where each token goes. */
export interface Routing {
  /** i32 [N, k], best first; among equal scores the smaller index first. */
  readonly experts: Tensor;
  /** f32 [N, k]. */
  readonly weights: Tensor;
  /** f32 [N, E]: softmax or sigmoid of the logits, of all experts. */
  readonly scores: Tensor;
  /** f32 [N, E]. */
  readonly logits: Tensor;
}

/**
 * Chooses experts from logits f32 [N, E]. `bias` f32 [E] is added for the choice alone and never changes a weight
 * (balancing without auxiliary loss, arXiv:2408.15664).
 */
export function route(logits: Tensor, options: RoutingOptions, bias: Tensor | null = null): Routing {
  const { scores, experts, raw } = choose(logits, options, bias);
  // The small number is DeepSeek's, and only matters when all chosen sigmoids vanish.
  const weights = options.normalize ? raw.div(raw.sum(1, true).add(1e-20)) : raw;
  const { scale = 1 } = options;
  return { experts, weights: scale === 1 ? weights : weights.mul(scale), scores, logits };
}

/** Scores [N, E], the chosen experts [N, k] and their scores. */
function choose(
  logits: Tensor,
  { gate, groups, chosen }: RoutingOptions,
  bias: Tensor | null,
): { readonly scores: Tensor; readonly experts: Tensor; readonly raw: Tensor } {
  if (gate === 'softmax' && !groups && !bias) {
    const { probabilities, indices, values } = softmaxTopK(logits, chosen);
    return { scores: probabilities, experts: indices, raw: values };
  }
  const scores = gate === 'softmax' ? logits.softmax() : logits.sigmoid();
  const experts = noGrad(() => {
    const biased = bias ? scores.add(bias) : scores.detach();
    return topK(groups ? withinBestGroups(biased, groups) : biased, chosen).indices;
  });
  return { scores, experts, raw: scores.takeAlongAxis(experts, 1) };
}

/** Scores [N, E] with -1e30 outside the best groups. */
function withinBestGroups(scores: Tensor, { count, chosen, score }: RoutingGroups): Tensor {
  const [N, E] = scores.shape;
  const size = E / count;
  const grouped = scores.reshape(N, count, size);
  const quality = score === 'best' ? grouped.max(2) : topK(grouped, 2).values.sum(2); // [N, groups]
  const best = topK(quality, chosen).indices;
  const ones = zeros(best.shape, { backend: scores.backend }).add(1);
  const open = scatterAddAlongAxis(best, ones, 1, count).less(0.5).logicalNot(); // [N, groups]
  const mask = open.reshape(N, count, 1).expand(N, count, size);
  return where(mask, grouped, zeros([], { backend: scores.backend }).sub(1e30)).reshape(N, E);
}

/**
 * Linear scores of experts, in f32 whatever the model computes in: a rounded score can change the choice. It is no
 * LinearLike, because methods that compress must leave it alone.
 */
export class Router extends Module {
  /** f32 [E, C]. */
  readonly weight: Parameter;
  /** f32 [E], added to the scores for the choice alone; saved, never trained by gradients. */
  readonly selectionBias: Buffer | null;

  /** @throws ArgumentError when more experts are wanted than there are, or groups do not divide them */
  constructor(
    weight: Tensor,
    readonly options: RoutingOptions,
    selectionBias: Tensor | null = null,
  ) {
    super();
    this.weight = new Parameter(weight);
    this.selectionBias = selectionBias && new Buffer(selectionBias);
    checkRouting(this.experts, options);
    if (selectionBias && selectionBias.shape[0] !== this.experts)
      throw new ShapeError({
        where: 'Router',
        what: 'the selection bias does not fit the experts',
        got: `${selectionBias.shape[0]} biases`,
        expected: String(this.experts),
      });
  }

  /** How many experts there are, E. */
  get experts(): number {
    return this.weight.shape[0];
  }

  /** [N, C] → where each row goes. */
  forward(x: Tensor): Routing {
    const logits = x.cast('f32').matmul(this.weight.value.cast('f32').transpose());
    return route(logits, this.options, this.selectionBias?.value.cast('f32'));
  }
}

function checkRouting(experts: number, { chosen, groups }: RoutingOptions): void {
  const refuse = (what: string, got: string, expected: string): never => {
    throw new ArgumentError({ where: 'Router', what, got, expected });
  };
  if (!(Number.isInteger(chosen) && chosen >= 1 && chosen <= experts))
    refuse('experts per token out of range', String(chosen), `1 to ${experts}, the experts there are`);
  if (!groups) return;
  const size = experts / groups.count;
  if (!Number.isInteger(size))
    refuse('groups do not divide the experts', String(groups.count), `a divisor of ${experts}`);
  if (!(Number.isInteger(groups.chosen) && groups.chosen >= 1 && groups.chosen <= groups.count))
    refuse('chosen groups out of range', String(groups.chosen), `1 to ${groups.count}`);
  if (groups.chosen * size < chosen)
    refuse(
      'the chosen groups hold too few experts',
      `${groups.chosen} × ${size}`,
      `at least ${chosen} experts`,
    );
  if (groups.score === 'bestTwo' && size < 2)
    refuse('groups are scored by their two best experts', `groups of ${size}`, 'groups of at least 2');
}
