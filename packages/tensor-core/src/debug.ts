import type { TensorView } from './backend.js';
import { observerFromEnvironment } from './trace.js';

/** Sees every kernel launch; must call `launch` once. */
export type OpObserver = (
  op: string,
  inputs: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: object,
  launch: () => void,
) => void;

/**
 * The observer in force: one hook for tracing, profiling and value checks. Null costs nothing. The environment
 * variables FRUGAL_DEBUG and FRUGAL_SYNC set the first one, see {@link traceOps}.
 */
export const observer: { current: OpObserver | null } = { current: observerFromEnvironment() };

export interface OpProfile {
  readonly op: string;
  readonly calls: number;
  readonly seconds: number;
}

/** Runs `fn` and returns its result with the time spent in each op's kernels, most expensive first. */
export async function profile<T>(
  fn: () => T | Promise<T>,
): Promise<{ readonly result: T; readonly ops: readonly OpProfile[] }> {
  const totals = new Map<string, { calls: number; seconds: number }>();
  const before = observer.current;
  observer.current = (op, inputs, outputs, attributes, launch) => {
    const start = performance.now();
    if (before) before(op, inputs, outputs, attributes, launch);
    else launch();
    const total = totals.get(op) ?? { calls: 0, seconds: 0 };
    total.calls++;
    total.seconds += (performance.now() - start) / 1000;
    totals.set(op, total);
  };
  try {
    const result = await fn();
    const ops = [...totals].map(([op, total]) => ({ op, ...total })).sort((a, b) => b.seconds - a.seconds);
    return { result, ops };
  } finally {
    observer.current = before;
  }
}
