import type { Interrupts } from './interrupts.js';

/** Where a verb reads and writes. Tests give one that collects. */
export interface Terminal {
  /** Results: standard output. */
  out(text: string): void;
  /** Everything else, so that results can be piped: standard error. */
  err(text: string): void;
  /** What the user types. */
  readonly input: NodeJS.ReadableStream;
  /** Where progress bars are drawn; absent when nobody watches. */
  readonly progressStream?: NodeJS.WritableStream | undefined;
  /** Columns of standard output; undefined when it is no terminal. */
  readonly columns?: number | undefined;
}

/** What every verb is given beside its arguments. */
export interface Context {
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C, unless a verb takes it for something else. */
  readonly signal: AbortSignal;
  readonly interrupts: Interrupts;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    input: stdin,
    progressStream: stderr.isTTY ? stderr : undefined,
    columns: stdout.isTTY ? stdout.columns : undefined,
  };
}

/** Prints a value as one line of JSON. */
export function printJson({ terminal }: Context, value: unknown): void {
  terminal.out(`${JSON.stringify(value)}\n`);
}
