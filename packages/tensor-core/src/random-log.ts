/** Seeds drawn inside a checkpointed function, so that its second run draws the same numbers. */
export interface DrawLog {
  during<T>(fn: () => T): T;
  readonly draws: number[];
}

interface Mode {
  readonly log: DrawLog;
  position: number | 'record';
  /** The mode around this one: a checkpoint inside a checkpoint. */
  readonly outer: Mode | null;
}

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
  const log: DrawLog = { draws: [], during: (fn) => run({ log, position: 'record', outer: active }, fn) };
  return log;
}

/** Runs `fn` so that its draws come from the log. */
export function replayDraws<T>(log: DrawLog, fn: () => T): T {
  return run({ log, position: 0, outer: active }, fn);
}

/** Called by {@link Random} for each draw: the counter to use, recorded or replayed when a log is active. */
export function loggedCounter(draw: () => number): number {
  return counterIn(active, draw);
}

function counterIn(mode: Mode | null, draw: () => number): number {
  if (!mode) return draw();
  if (mode.position !== 'record') return mode.log.draws[mode.position++];
  // The outer log must hold these draws as well, or gives them when it is being replayed.
  const counter = counterIn(mode.outer, draw);
  mode.log.draws.push(counter);
  return counter;
}
