/** Seeds drawn inside a checkpointed function, so that its second run draws the same numbers. */
export interface DrawLog {
  during<T>(fn: () => T): T;
  readonly draws: number[];
}

type Mode = { readonly log: DrawLog; position: number | 'record' };
let active: Mode | null = null;

function run<T>(mode: Mode, fn: () => T): T {
  const before = active;
  active = mode;
  try {
    return fn();
  } finally {
    active = before;
  }
}

/** Makes a log; what runs inside `log.during` is recorded. */
export function recordDraws(): DrawLog {
  const log: DrawLog = { draws: [], during: (fn) => run({ log, position: 'record' }, fn) };
  return log;
}

/** Runs `fn` so that its draws come from the log. */
export function replayDraws<T>(log: DrawLog, fn: () => T): T {
  return run({ log, position: 0 }, fn);
}

/** Called by {@link Random} for each draw: the counter to use, recorded or replayed when a log is active. */
export function loggedCounter(draw: () => number): number {
  if (!active) return draw();
  if (active.position === 'record') {
    // A checkpoint inside a checkpoint: the outer log must hold the draws of the inner function as well.
    const counter = draw();
    active.log.draws.push(counter);
    return counter;
  }
  return active.log.draws[active.position++];
}
