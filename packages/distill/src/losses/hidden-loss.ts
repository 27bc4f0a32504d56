import { ShapeError, type Tensor } from '@frugal/tensor-core';
import { column } from './elementary.js';

/** How far hidden states are apart. */
export type HiddenDistance = 'mse' | 'cosine';

/** Keeps the length of a state of zeros from dividing by zero, as in PyTorch's cosine_similarity. */
const SMALLEST_NORM = 1e-8;

/**
 * Σ over rows of weight · distance of a student's hidden states [N, C], projected to the teacher's width, and the
 * teacher's [N, C]. `mse`: mean over C of (student - teacher)² (FitNets, Romero et al. 2014, arXiv:1412.6550); `cosine`:
 * 1 - cos of the angle (DistilBERT, Sanh et al. 2019, arXiv:1910.01108).
 */
export function hiddenLoss(
  student: Tensor,
  teacher: Tensor,
  { distance = 'mse', weights = null }: { distance?: HiddenDistance; weights?: Tensor | null } = {},
): Tensor {
  if (student.shape.join() !== teacher.shape.join()) {
    throw new ShapeError({
      where: 'hiddenLoss',
      what: 'hidden states of student and teacher differ in shape',
      got: `[${student.shape}] and [${teacher.shape}]`,
      hint: 'Project the states of the student to the width of the teacher.',
    });
  }
  const [ours, theirs] = [student.cast('f32'), teacher.cast('f32').detach()];
  const rows = distance === 'mse' ? squaredDistance(ours, theirs) : cosineDistance(ours, theirs);
  return (weights ? rows.mul(weights) : rows).sum();
}

function squaredDistance(a: Tensor, b: Tensor): Tensor {
  const difference = a.sub(b);
  return difference.mul(difference).mean(-1);
}

/** 1 - cos = |a/|a| - b/|b||² / 2: exact also where the directions are nearly the same. */
function cosineDistance(a: Tensor, b: Tensor): Tensor {
  const difference = normalized(a).sub(normalized(b));
  return difference.mul(difference).sum(-1).mul(0.5);
}

function normalized(x: Tensor): Tensor {
  const square = x
    .mul(x)
    .sum(-1)
    .maximum(SMALLEST_NORM ** 2);
  return x.mul(column(square.rsqrt()));
}
