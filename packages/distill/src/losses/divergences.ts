import { ArgumentError, customGradient, klDivergence, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { column, expm1, log1p } from './elementary.js';

/** How far a student's distribution q is from the teacher's p. */
export interface Divergence {
  readonly name: string;
  /** Logarithms of q and p, normalized, f32 [M, V] → f32 [M] in nats; the gradient goes to q alone. */
  ofLogs(student: Tensor, teacher: Tensor): Tensor;
  /** The same of logits at a temperature, where one op does it. */
  ofLogits?(student: Tensor, teacher: Tensor, temperature: number): Tensor;
}

/** One row's distributions elementwise: p of the teacher, q of the student, log(p / q). */
interface Pair {
  readonly p: Tensor;
  readonly q: Tensor;
  readonly ratio: Tensor;
}

/** Summands that are never negative, and their derivatives by log q. */
interface Summands {
  readonly value: Tensor;
  readonly slope: Tensor;
}

/**
 * KL(p ‖ q) = Σ p log(p / q) - p + q, for what teachers say with certainty (Hinton et al. 2015, arXiv:1503.02531). The
 * last two sum to nothing; with them every summand is positive, so that rounding cannot make a small sum negative.
 */
export const forwardKL: Divergence = {
  ...divergence('forward-kl', ({ p, q, ratio }) => ({
    value: p.mul(ratio).sub(p).add(q),
    slope: q.sub(p),
  })),
  ofLogits: (student, teacher, temperature) => klDivergence(student, teacher, { temperature }),
};

/** KL(q ‖ p): the student keeps to what the teacher finds likely (Gu et al. 2023, arXiv:2306.08543). */
export const reverseKL: Divergence = divergence('reverse-kl', ({ p, q, ratio }) => {
  const loss = q.mul(ratio).neg();
  return { value: loss.sub(q).add(p), slope: loss };
});

/** β KL(p ‖ m) + (1 - β) KL(q ‖ m) with m = β p + (1 - β) q, 0 < β < 1 (Agarwal et al. 2023, arXiv:2306.13649). */
export function jensenShannon(beta = 0.5): Divergence {
  requireShare('jensenShannon', 'beta', beta);
  return divergence('jensen-shannon', ({ p, q, ratio }) => {
    const fromTeacher = logShareOfMixture(ratio.neg(), 1 - beta); // log(p / m)
    const fromStudent = logShareOfMixture(ratio, beta); // log(q / m)
    const slope = q.mul(fromStudent).mul(1 - beta);
    return { value: p.mul(fromTeacher).mul(beta).add(slope), slope };
  });
}

/** KL(p ‖ α p + (1 - α) q), 0 < α < 1: bounded gradients where q is small (DistiLLM, Ko et al. 2024, arXiv:2402.03898). */
export function skewKL(alpha = 0.1): Divergence {
  requireShare('skewKL', 'skew', alpha);
  return divergence('skew-kl', ({ p, q, ratio }) => {
    const share = logShareOfMixture(ratio.neg(), 1 - alpha); // log(p / m)
    return {
      value: p.mul(share).sub(p.sub(q).mul(1 - alpha)),
      slope: q.mul(expm1(share)).mul(alpha - 1),
    };
  });
}

/** KL(q ‖ α q + (1 - α) p), 0 < α < 1 (DistiLLM). */
export function skewReverseKL(alpha = 0.1): Divergence {
  requireShare('skewReverseKL', 'skew', alpha);
  return divergence('skew-reverse-kl', ({ p, q, ratio }) => {
    const share = logShareOfMixture(ratio, 1 - alpha); // log(q / m)
    return {
      value: q.mul(share).add(p.sub(q).mul(1 - alpha)),
      slope: q.mul(share.sub(expm1(share).mul(alpha))),
    };
  });
}

/** Beyond this, a side's share of the mixture is lost in its own rounding, and exp() would soon overflow. */
const LARGEST_RATIO = 80;

/** log(a / (w b + (1 - w) a)) = -log1p(w (b / a - 1)): exact also where a and b, or a and the mixture, are nearly equal. */
function logShareOfMixture(logRatio: Tensor, weight: number): Tensor {
  return log1p(expm1(logRatio.minimum(LARGEST_RATIO)).mul(weight)).neg();
}

function divergence(name: string, summands: (pair: Pair) => Summands): Divergence {
  return {
    name,
    ofLogs(student, teacher) {
      const [rows, slope] = noGrad(() =>
        scope(() => {
          const pair = { p: teacher.exp(), q: student.exp(), ratio: teacher.sub(student) };
          const { value, slope } = summands(pair);
          return [value.sum(-1), centred(slope, pair.q)];
        }),
      );
      customGradient(name, [student], [slope], [rows], ({ gradient }, [saved]) => [
        saved.mul(column(gradient(0))),
      ]);
      slope.dispose();
      return rows;
    },
  };
}

/**
 * A slope less a multiple of q, which normalized logarithms do not feel: 0 at the student's likeliest token. Where the
 * student is nearly certain, log-softmax would else take the difference of two large numbers, nearly equal.
 */
function centred(slope: Tensor, q: Tensor): Tensor {
  const likeliest = column(q.argMax(-1));
  const byProbability = slope.takeAlongAxis(likeliest, 1).div(q.takeAlongAxis(likeliest, 1));
  return slope.sub(q.mul(byProbability));
}

function requireShare(where: string, name: string, value: number): void {
  if (value > 0 && value < 1) return;
  throw new ArgumentError({
    where,
    what: `${name} out of range`,
    got: String(value),
    expected: 'between 0 and 1',
    hint: 'At the ends it is the forward or the reverse Kullback-Leibler divergence: use those.',
  });
}
