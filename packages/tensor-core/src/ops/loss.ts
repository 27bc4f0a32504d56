import type { TensorInfo } from '../backend.js';
import { arange, fill } from '../creation.js';
import { run } from '../dispatch.js';
import type { Tensor } from '../tensor.js';
import {
  requireDType,
  requireFloat,
  requireRank,
  requireSameDType,
  requireSameShape,
  requireShape,
} from './checks.js';
import { defineOps } from './definition.js';
import { where } from './functions.js';

function requireLogits(op: string, logits: TensorInfo): void {
  requireFloat(op, [logits]);
  requireRank(op, 'logits', logits, 2);
}

function perRow(logits: TensorInfo): TensorInfo {
  return { shape: [logits.shape[0]], dtype: 'f32' };
}

function logSumExp(x: Tensor): Tensor {
  const top = x.max(-1, true).detach();
  return x.sub(top).exp().sum(-1, true).log().add(top).reshape(-1);
}

/** f32 [N, V] with 1 at each row's target and 0 elsewhere; all 0 for ignored rows. */
function oneHot(targets: Tensor, vocabulary: number): Tensor {
  const column = arange(vocabulary, { backend: targets.backend }).reshape(1, vocabulary);
  return targets.reshape(-1, 1).equal(column).cast('f32');
}

function column(x: Tensor): Tensor {
  return x.reshape(-1, 1);
}

/** Losses per row; log Σ exp comes along because the backward pass needs it, and so do z-losses. */
export const lossOps = defineOps<
  'crossEntropy' | 'crossEntropyBackward' | 'klDivergence' | 'klDivergenceBackward'
>({
  // (logits [N, V], targets i32 [N]) → (-log softmax(logits)[target], log Σ exp), both f32 [N]; ignored rows give 0.
  crossEntropy: {
    infer: (inputs) => {
      const [logits, targets] = inputs;
      requireLogits('crossEntropy', logits);
      requireDType('crossEntropy', 'targets', targets, 'i32');
      requireShape('crossEntropy', 'targets', targets, [logits.shape[0]], inputs);
      return [perRow(logits), perRow(logits)];
    },
    indices: ([logits], { ignoreIndex }) => [{ input: 1, limit: logits.shape[1], allow: ignoreIndex }],
    vjp: {
      saves: { inputs: [0, 1], outputs: [1] },
      gradients: ({ gradient, received, input, output, attributes }) => {
        const ofLoss = run('crossEntropyBackward', [gradient(0), input(0), input(1), output(1)], attributes);
        if (!received(1)) return [ofLoss, null];
        const probabilities = input(0)
          .cast('f32')
          .sub(column(output(1)))
          .exp();
        return [ofLoss.add(probabilities.mul(column(gradient(1))).cast(ofLoss.dtype)), null];
      },
    },
    decompose: ([logits, targets], { ignoreIndex }) => {
      const wide = logits.cast('f32');
      const total = logSumExp(wide);
      const chosen = wide.mul(oneHot(targets, logits.shape[1])).sum(-1);
      const ignored = targets.equal(ignoreIndex);
      return [where(ignored, fill(total, 0, logits.backend), total.sub(chosen)), total];
    },
  },
  // gradient · (softmax(logits) - one hot); zero rows where the target is ignored.
  crossEntropyBackward: {
    infer: ([, logits]) => [logits],
    decompose: ([gradient, logits, targets, total], { ignoreIndex }) => {
      const probabilities = logits.cast('f32').sub(column(total)).exp();
      const ignored = column(targets.equal(ignoreIndex));
      const difference = probabilities.sub(oneHot(targets, logits.shape[1]));
      return [
        where(ignored, fill(difference, 0, logits.backend), difference.mul(column(gradient))).cast(
          logits.dtype,
        ),
      ];
    },
  },
  // (student [N, V], teacher [N, V]) → (KL(teacher ‖ student) of softmax(x / T), log Σ exp of both), all f32 [N].
  klDivergence: {
    infer: (inputs) => {
      requireLogits('klDivergence', inputs[0]);
      requireSameDType('klDivergence', inputs);
      requireSameShape('klDivergence', inputs);
      return [perRow(inputs[0]), perRow(inputs[0]), perRow(inputs[0])];
    },
    vjp: {
      saves: { inputs: [0, 1], outputs: [1, 2] },
      constantOutputs: [1, 2],
      gradients: ({ gradient, input, output, attributes }) => [
        run('klDivergenceBackward', [gradient(0), input(0), input(1), output(1), output(2)], attributes),
        null,
      ],
    },
    decompose: ([student, teacher], { temperature }) => {
      const scaled = [student, teacher.detach()].map((x) => x.cast('f32').mul(1 / temperature));
      const totals = scaled.map(logSumExp);
      const logs = scaled.map((x, i) => x.sub(column(totals[i])));
      return [logs[1].exp().mul(logs[1].sub(logs[0])).sum(-1), ...totals];
    },
  },
  // gradient / T · (softmax(student / T) - softmax(teacher / T)), for the student.
  klDivergenceBackward: {
    infer: ([, student]) => [student],
    decompose: ([gradient, student, teacher, studentTotal, teacherTotal], { temperature }) => {
      const softmax = (x: Tensor, total: Tensor) =>
        x
          .cast('f32')
          .mul(1 / temperature)
          .sub(column(total))
          .exp();
      const difference = softmax(student, studentTotal).sub(softmax(teacher, teacherTotal));
      return [difference.mul(column(gradient).mul(1 / temperature)).cast(student.dtype)];
    },
  },
});
