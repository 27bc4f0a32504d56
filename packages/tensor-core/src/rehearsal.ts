import { ArgumentError } from './errors.js';
import { keep } from './scope.js';
import type { Tensor } from './tensor.js';

/** What an op computed, and what it took. */
interface Result {
  readonly op: string;
  /** Null once they are no longer held. */
  outputs: readonly Tensor[] | null;
  readonly bytes: number;
  /** Multiply-adds per byte of the outputs. */
  readonly worth: number;
}

/**
 * The first run of a checkpointed function: the seeds that it drew, so that the second run draws the same numbers, and results
 * of its products that the second run takes as they are, as many as `keepBytes` allow.
 */
export class Rehearsal {
  readonly draws: number[] = [];
  readonly results: Result[] = [];

  constructor(readonly keepBytes = 0) {}

  /** What runs inside `fn` is written down. Then the results that take most work per byte stay, within `keepBytes`. */
  during<T>(fn: () => T): T {
    let bytes = 0;
    try {
      const value = inPass({ rehearsal: this, next: null, outer: active }, fn);
      bytes = this.keepBytes;
      return value;
    } finally {
      this.settle(bytes);
    }
  }

  /** Runs `fn` once more, with the same draws and the results that stayed. */
  replay<T>(fn: () => T): T {
    return inPass({ rehearsal: this, next: { draw: 0, result: 0 }, outer: active }, fn);
  }

  /** The results that stayed. */
  get kept(): readonly Tensor[] {
    return this.results.flatMap(({ outputs }) => outputs ?? []);
  }

  private settle(bytes: number): void {
    let left = bytes;
    for (const result of [...this.results].sort((a, b) => b.worth - a.worth)) {
      if (result.bytes <= left) left -= result.bytes;
      else {
        for (const tensor of result.outputs ?? []) tensor.dispose();
        result.outputs = null;
      }
    }
  }
}

/** A run of a checkpointed function. */
interface Pass {
  readonly rehearsal: Rehearsal;
  /** What comes next of what was written down; null while that happens. */
  readonly next: { draw: number; result: number } | null;
  /** The pass around this one: a checkpoint inside a checkpoint. */
  readonly outer: Pass | null;
}

let active: Pass | null = null;

function inPass<T>(pass: Pass | null, fn: () => T): T {
  const before = active;
  active = pass;
  try {
    return fn();
  } finally {
    active = before;
  }
}

/** Called by {@link Random} for each draw: the counter to use, of a checkpointed function the same in both runs. */
export function rehearsedCounter(draw: () => number): number {
  return counterIn(active, draw);
}

function counterIn(pass: Pass | null, draw: () => number): number {
  if (!pass) return draw();
  if (pass.next) return pass.rehearsal.draws[pass.next.draw++];
  // The outer pass must write these draws down as well, or gives them when it is the second run.
  const counter = counterIn(pass.outer, draw);
  pass.rehearsal.draws.push(counter);
  return counter;
}

/** Called by dispatch for ops that are worth it: computes their outputs, or takes those of the first run. */
export function rehearsedOutputs(
  op: string,
  compute: () => readonly Tensor[],
  depth: () => number,
): readonly Tensor[] {
  return active ? outputsIn(active, op, compute, depth) : compute();
}

function outputsIn(
  pass: Pass | null,
  op: string,
  compute: () => readonly Tensor[],
  depth: () => number,
): readonly Tensor[] {
  // Ops that this one is made of do not count by themselves.
  if (!pass) return inPass(null, compute);
  const { rehearsal, next, outer } = pass;
  if (rehearsal.keepBytes === 0) return next ? inPass(null, compute) : outputsIn(outer, op, compute, depth);
  if (next) {
    const known = rehearsal.results[next.result++];
    requireSame(known?.op, op);
    return known.outputs?.map((tensor) => tensor.detach()) ?? inPass(null, compute);
  }
  const outputs = outputsIn(outer, op, compute, depth);
  const held = outputs.map((output) => keep(output.detach()));
  const bytes = outputs.reduce((sum, { storage }) => sum + storage.byteLength, 0);
  rehearsal.results.push({ op, outputs: held, bytes, worth: (depth() * outputs[0].size) / bytes });
  return outputs;
}

function requireSame(known: string | undefined, op: string): void {
  if (known === op) return;
  throw new ArgumentError({
    where: 'checkpoint',
    what: 'the function does not run the same ops the second time',
    got: op,
    expected: known ?? 'no further product',
    hint: 'What it does must depend on its inputs alone, not on whether gradients are recorded.',
  });
}
