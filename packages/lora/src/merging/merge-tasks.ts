import { ArgumentError, Random, referenceBackend } from '@frugal/tensor-core';

/** How values are combined that several trainings changed from the same beginning. */
export type TaskMethod = 'linear' | 'ties' | 'dare_linear' | 'dare_ties' | 'magnitude_prune';

export interface TaskOptions {
  /** One per task. */
  readonly weights: readonly number[];
  /** Share of the values of each task that is kept; all methods but `linear`. Default 0.5. */
  readonly density?: number;
  /** The sign that wins in TIES: of the sum of values, or of most tasks. Default `total`. */
  readonly majoritySign?: 'total' | 'frequency';
  /** Of DARE's choice. Default 0. */
  readonly seed?: number;
}

/**
 * Combines changes of equal size element by element, as PEFT and mergekit do. `linear`: weighted sum. `ties` (Yadav et al.
 * 2023, arXiv:2306.01708): the largest values of each, those of the sign that prevails, their mean. `dare_…` (Yu et al. 2024,
 * arXiv:2311.03099): random values of each, enlarged to keep their expectation. `magnitude_prune`: the largest of each, summed.
 * @throws ArgumentError for sizes, weights or a density that do not fit
 */
export async function mergeTasks(
  method: TaskMethod,
  tasks: readonly Float32Array[],
  options: TaskOptions,
): Promise<Float32Array> {
  const { weights, density = 0.5, majoritySign = 'total', seed = 0 } = options;
  checkTasks(tasks, weights, density);
  const kept =
    method === 'linear'
      ? tasks
      : method === 'ties' || method === 'magnitude_prune'
        ? tasks.map((task) => keepLargest(task, density))
        : await Promise.all(tasks.map((task, i) => keepRandom(task, density, new Random(seed).fork(i))));
  if (method !== 'ties' && method !== 'dare_ties') return weightedSum(kept, weights);
  return meanOfMajority(kept, weights, majoritySign);
}

/** The ⌊density · n⌋ values of the largest magnitude; the others become zero. */
function keepLargest(task: Float32Array, density: number): Float32Array {
  if (density >= 1) return task;
  const count = Math.floor(density * task.length);
  if (count === 0) return new Float32Array(task.length);
  const sizes = task.map(Math.abs).sort();
  const threshold = sizes[sizes.length - count];
  let equal = count - sizes.reduce((above, size) => above + Number(size > threshold), 0);
  return task.map((value) => {
    const size = Math.abs(value);
    return size > threshold || (size === threshold && equal-- > 0) ? value : 0;
  });
}

async function keepRandom(task: Float32Array, density: number, random: Random): Promise<Float32Array> {
  if (density >= 1) return task;
  const drawn = random.uniform([task.length], { backend: referenceBackend() });
  const draws = await drawn.toFloat32();
  drawn.dispose();
  return task.map((value, i) => (draws[i] < density ? value / density : 0));
}

function weightedSum(tasks: readonly Float32Array[], weights: readonly number[]): Float32Array {
  return tasks[0].map((_, i) => tasks.reduce((sum, task, t) => sum + weights[t] * task[i], 0));
}

/** Weighted values of the sign that prevails, divided by how many tasks have it. */
function meanOfMajority(
  tasks: readonly Float32Array[],
  weights: readonly number[],
  majority: 'total' | 'frequency',
): Float32Array {
  return tasks[0].map((_, i) => {
    const vote = tasks.reduce((sum, task) => sum + (majority === 'total' ? task[i] : Math.sign(task[i])), 0);
    const sign = vote >= 0 ? 1 : -1;
    let sum = 0;
    let count = 0;
    for (const [t, task] of tasks.entries()) {
      if (Math.sign(task[i]) !== sign) continue;
      sum += weights[t] * task[i];
      count++;
    }
    return sum / Math.max(1, count);
  });
}

/**
 * A point on the arc between two vectors (Shoemake 1985), t = 0: the first. Nearly parallel ones are joined by a line.
 * @throws ArgumentError for different sizes
 */
export function slerp(first: Float32Array, second: Float32Array, t: number): Float32Array {
  checkTasks([first, second], [1, 1], 1);
  const length = (vector: Float32Array) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  const product = first.reduce((sum, value, i) => sum + value * second[i], 0);
  const cosine = product / (length(first) * length(second));
  // Also where one of them is zero.
  if (!(Math.abs(cosine) < 0.9995)) return first.map((value, i) => value * (1 - t) + second[i] * t);
  const angle = Math.acos(cosine);
  const [a, b] = [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
  return first.map((value, i) => a * value + b * second[i]);
}

function checkTasks(tasks: readonly Float32Array[], weights: readonly number[], density: number): void {
  const refuse = (what: string, got: string, expected: string): never => {
    throw new ArgumentError({ where: 'mergeTasks', what, got, expected });
  };
  const sizes = [...new Set(tasks.map(({ length }) => length))];
  if (sizes.length !== 1) refuse('tasks differ in size', sizes.join(', ') || 'no tasks', 'one size');
  if (weights.length !== tasks.length || !weights.every(Number.isFinite))
    refuse('weights', weights.join(', '), `${tasks.length} numbers`);
  if (!(density >= 0 && density <= 1)) refuse('density', String(density), '0 to 1');
}
