import { arange, fill } from '../creation.js';
import { dispatch } from '../dispatch.js';
import type { Tensor } from '../tensor.js';
import { requireDType, requireRank, requireShape } from './checks.js';
import { defineOps } from './definition.js';
import { where } from './functions.js';

/** Columns of the settings of `sample`. */
const [TEMPERATURE, TOP_K, TOP_P, MIN_P, UNIFORM] = [0, 1, 2, 3, 4];

export const samplingOps = defineOps<'sample'>({
  // (logits f32 [M, V], settings f32 [M, 5]: temperature, top k, top p, min p, uniform number) → token ids i32 [M].
  // With w = exp((logit - largest) / temperature): candidates are the k largest logits (0: all; equal ones by id); kept
  // is their shortest prefix, most likely first, whose w reach top p of their sum, without those below min p. The token
  // is the first one, by id, at which the running sum of kept w exceeds uniform · its total. Temperature 0: the first
  // of the largest. A row with NaN, or whose largest logit is infinite, gives -1.
  sample: {
    infer: (inputs) => {
      const [logits, settings] = inputs;
      requireDType('sample', 'the logits', logits, 'f32');
      requireRank('sample', 'the logits', logits, 2);
      requireDType('sample', 'the settings', settings, 'f32');
      requireShape('sample', 'the settings', settings, [logits.shape[0], 5], inputs);
      requireShape('sample', 'the logits', { ...logits, shape: [Math.min(1, logits.shape[1])] }, [1], inputs);
      return [{ shape: [logits.shape[0]], dtype: 'i32' }];
    },
    decompose: ([logits, settings]) => {
      const [M, V] = logits.shape;
      const { backend } = logits;
      const column = (index: number) => settings.slice(1, index, index + 1); // [M, 1]
      const constant = (value: number) => fill({ shape: [1, 1], dtype: 'f32' }, value, backend);
      const zero = constant(0);
      const temperature = column(TEMPERATURE);
      const greedy = temperature.equal(zero);
      const [sorted, order] = dispatch('sort', [logits], { descending: true });
      const top = sorted.slice(1, 0, 1);
      const weights = sorted
        .sub(top)
        .div(where(greedy, constant(1), temperature))
        .exp();
      const rank = arange(V, { dtype: 'f32', backend }).reshape(1, V);
      const k = where(column(TOP_K).equal(zero), constant(V), column(TOP_K));
      const candidates = where(rank.less(k), weights, zero);
      const sums = candidates.cumulativeSum(1);
      const before = sums.sub(candidates);
      const inside = before.less(column(TOP_P).mul(sums.slice(1, V - 1, V)));
      const likely = candidates.less(column(MIN_P)).logicalNot();
      const first = rank.less(constant(1));
      const kept = where(inside, where(likely, candidates, zero), where(first, candidates, zero));
      const byId = scatterRows(kept, order).cumulativeSum(1);
      const target = column(UNIFORM).mul(byId.slice(1, V - 1, V));
      const drawn = byId.lessEqual(target).cast('i32').sum(1);
      const tokens = where(greedy.reshape(M), logits.argMax(1), drawn);
      const usable = top.isFinite().reshape(M);
      return [where(usable, tokens, fill({ shape: [1], dtype: 'i32' }, -1, backend))];
    },
  },
});

/** out[m, order[m, i]] = values[m, i]. */
function scatterRows(values: Tensor, order: Tensor): Tensor {
  return dispatch('scatterAddAlongAxis', [order, values], { axis: 1, size: values.shape[1] })[0];
}
