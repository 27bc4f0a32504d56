import { noGrad, scope, type Tensor, withBackend } from '@frugal/tensor-core';
import { generateBatch } from '@frugal/tensor-core/generation';
import type { BatchSource, CausalLM } from '@frugal/tensor-core/nn';
import { TrainerError } from '../errors.js';
import { scoreTargets, type TargetSequence } from '../token-logprobs.js';
import { groupAdvantages, type PolicyBatch, type PolicySample } from './policy-loss.js';

/** A question whose answers can be checked. */
export interface RewardedPrompt {
  readonly tokens: Int32Array;
  /** What an answer is worth; `answer` are its tokens, with the one that ended it if there was one. */
  reward(answer: readonly number[]): number;
}

export interface GroupSamplerOptions {
  readonly prompts: readonly RewardedPrompt[];
  /** Answers per prompt. Default 8. */
  readonly groupSize?: number;
  /** Prompts per batch. Default 4. */
  readonly promptsPerBatch?: number;
  readonly maxTokens: number;
  /** Ids that end an answer. */
  readonly stopIds?: readonly number[];
  /** Default 1: the distribution that is trained. */
  readonly temperature?: number;
  readonly seed: number;
  /** The frozen model before training; left out when the loss has no divergence from it. */
  readonly reference?: CausalLM;
  /** Called with the rewards of each batch. */
  readonly onRewards?: (rewards: readonly number[]) => void;
}

/**
 * Lets the model that is being trained answer, several times per prompt, and compares the answers of a prompt with
 * each other. What is drawn depends on seed, step and weights alone, so a resumed run is exact.
 */
export class GroupSampler implements BatchSource<PolicyBatch> {
  private step = 0;

  /** @throws TrainerError without prompts, and for groups of one, in which nothing can be better */
  constructor(
    private readonly model: CausalLM,
    private readonly options: GroupSamplerOptions,
  ) {
    const { prompts, groupSize = 8 } = options;
    if (prompts.length > 0 && groupSize >= 2) return;
    throw new TrainerError({
      where: 'GroupSampler',
      what: 'there is nothing to compare',
      got: `${prompts.length} prompts, groups of ${groupSize}`,
      expected: 'prompts, and groups of 2 or more',
    });
  }

  async next(): Promise<PolicyBatch> {
    const { prompts, groupSize = 8, promptsPerBatch = 4, onRewards } = this.options;
    const first = this.step * promptsPerBatch;
    const chosen = Array.from({ length: promptsPerBatch }, (_, i) => prompts[(first + i) % prompts.length]);
    const asked = chosen.flatMap((prompt) => Array.from({ length: groupSize }, () => prompt));
    const answers = await this.answer(asked);
    const rewards = answers.map((answer, i) => asked[i].reward(answer));
    onRewards?.(rewards);
    const advantages = chosen.flatMap((_, i) =>
      groupAdvantages(rewards.slice(i * groupSize, (i + 1) * groupSize)),
    );
    const texts = asked.map(({ tokens }, i) => answeredText(tokens, answers[i]));
    const old = await targetLogProbs(this.model, texts);
    const { reference } = this.options;
    const before = reference && (await targetLogProbs(reference, texts));
    this.step++;
    return {
      samples: texts.map(
        (text, i): PolicySample => ({
          ...text,
          advantage: advantages[i],
          old: old[i],
          ...(before && { reference: before[i] }),
        }),
      ),
    };
  }

  private async answer(asked: readonly RewardedPrompt[]): Promise<number[][]> {
    const { maxTokens, stopIds, temperature = 1, seed } = this.options;
    const requests = asked.map(({ tokens }, i) => ({
      prompt: tokens,
      maxTokens,
      stopIds,
      temperature,
      seed: (Math.imul(seed, 0x9e3779b1) + this.step * asked.length + i) >>> 0,
    }));
    const answers: number[][] = asked.map(() => []);
    for await (const { request, id } of generateBatch(this.model, requests)) answers[request].push(id);
    return answers;
  }

  state(): unknown {
    return { step: this.step };
  }
  restore(state: unknown): void {
    this.step = (state as { step: number }).step;
  }
}

function answeredText(prompt: Int32Array, answer: readonly number[]): TargetSequence {
  const tokens = Int32Array.from([...prompt, ...answer]);
  const targets = new Int32Array(tokens.length).fill(-100);
  targets.set(tokens.subarray(prompt.length), prompt.length - 1);
  return { tokens, targets };
}

/** log p of the targets of each text, without gradients. */
export async function targetLogProbs(
  model: CausalLM,
  texts: readonly TargetSequence[],
): Promise<Float32Array[]> {
  const { backend } = model.parameters()[0].value;
  let counts = new Int32Array();
  const all: Tensor = withBackend(backend, () =>
    noGrad(() =>
      scope(() => {
        const scored = scoreTargets(model, texts);
        counts = Int32Array.from(scored.counts);
        return scored.logProbs;
      }),
    ),
  );
  const values = await all.toFloat32().finally(() => all.dispose());
  let start = 0;
  return Array.from(counts, (count) => {
    const own = values.slice(start, start + count);
    start += count;
    return own;
  });
}
