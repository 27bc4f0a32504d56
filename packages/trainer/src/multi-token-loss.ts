import { type Tensor, tensor } from '@frugal/tensor-core';
import {
  type CausalLM,
  nextTokenLoss,
  type StepContext,
  stepBatch,
  type TrainBatch,
} from '@frugal/tensor-core/nn';
import { TrainerError } from './errors.js';
import { countTokens, type LossObserver, targetRows } from './losses.js';
import type { Loss } from './options.js';

export interface MultiTokenOptions {
  /** λ: how much all further tokens count together, beside the next one. Default 0.3. */
  readonly weight?: number;
  /** Sees values of each micro-batch, those of the further blocks among them. */
  readonly observer?: LossObserver;
}

/**
 * Next-token loss plus that of the blocks that predict further tokens (DeepSeek-V3, arXiv:2412.19437, eq. 21 to 25):
 * L + λ / D · Σ L_d, where block d reads the states of the one before it and the tokens d + 1 places on, and L_d
 * is divided by the tokens of the whole batch, as L is.
 * @throws TrainerError when the model has no such blocks
 */
export function multiTokenLoss(
  model: CausalLM,
  { weight = 0.3, observer }: MultiTokenOptions = {},
): Loss<TrainBatch> {
  const depth = model.extraBlocks.length;
  if (depth === 0) {
    throw new TrainerError({
      where: 'multiTokenLoss',
      what: 'the model has no blocks that predict further tokens',
      hint: 'Use languageModelLoss, or a model with num_nextn_predict_layers.',
    });
  }
  return (batch) => {
    const { rows, targets, weights, totalWeight } = targetRows(batch);
    const { vocabularySize } = model;
    const collect = observer?.collect;
    const output = model.forward(stepBatch(batch.sequences, { vocabularySize, logits: 'all', collect }));
    const collected = new Map(output.collected);
    const checks = new Map(output.checks);
    const next = output.hidden.gatherRows(tensor(Int32Array.from(rows)));
    let sum = nextTokenLoss(next, model.head, tensor(targets), weights && tensor(weights));
    for (const loss of output.losses.values()) sum = sum.add(loss.mul(totalWeight));
    let state: State = { hidden: output.hidden, batch };
    for (const [i] of model.extraBlocks.entries()) {
      const further = predictFurther(model, i, state, collect);
      if (!further) break; // no text is that long
      if (further.loss) sum = sum.add(further.loss.mul(weight / depth));
      const { context } = further;
      for (const loss of context.losses.values()) sum = sum.add(loss.mul(totalWeight));
      for (const [name, value] of context.collected) collected.set(name, value);
      for (const [name, check] of context.checks) checks.set(name, check);
      state = further.state;
    }
    observer?.observe(collected);
    return { sum, weight: totalWeight, tokens: countTokens(batch.sequences), checks };
  };
}

/** Hidden states [N, C] of sequences that each block makes one token shorter. */
interface State {
  readonly hidden: Tensor;
  readonly batch: TrainBatch;
}

interface Further {
  readonly state: State;
  /** Null when nothing is to be predicted there. */
  readonly loss: Tensor | null;
  /** What its layers report beside their output. */
  readonly context: StepContext;
}

function predictFurther(
  model: CausalLM,
  depth: number,
  { hidden, batch }: State,
  collect: ReadonlySet<string> | undefined,
): Further | null {
  const shorter = withoutFirstTokens(batch);
  if (shorter.batch.sequences.length === 0) return null;
  const startPositions = shorter.batch.sequences.map(() => depth + 1);
  const { vocabularySize } = model;
  const { context } = model.begin(
    stepBatch(shorter.batch.sequences, { vocabularySize, startPositions, collect }),
  );
  const state = {
    hidden: model.extraBlocks[depth].forward(hidden.gatherRows(tensor(shorter.rows)), context),
    batch: shorter.batch,
  };
  if (!shorter.batch.targets.some((target, row) => target !== -100 && shorter.batch.weights?.[row] !== 0))
    return { state, loss: null, context };
  const { rows, targets, weights } = targetRows(shorter.batch);
  const predicted = state.hidden.gatherRows(tensor(Int32Array.from(rows)));
  const loss = nextTokenLoss(predicted, model.head, tensor(targets), weights && tensor(weights));
  return { state, loss, context };
}

/** Each sequence from its second token on, with the rows of the states that stand before those tokens. */
function withoutFirstTokens({ sequences, targets, weights }: TrainBatch): {
  readonly batch: TrainBatch;
  readonly rows: Int32Array;
} {
  const before: number[] = [];
  const kept: number[] = [];
  let row = 0;
  for (const { length } of sequences) {
    for (let i = 1; i < length; i++) {
      before.push(row + i - 1);
      kept.push(row + i);
    }
    row += length;
  }
  const batch: TrainBatch = {
    sequences: sequences.filter(({ length }) => length > 1).map((sequence) => sequence.subarray(1)),
    targets: Int32Array.from(kept, (at) => targets[at]),
    ...(weights && { weights: Float32Array.from(kept, (at) => weights[at]) }),
  };
  return { batch, rows: Int32Array.from(before) };
}
