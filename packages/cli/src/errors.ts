import { FrugalError } from '@frugal/tensor-core';
import { CommanderError } from 'commander';
import type { Terminal } from './context.js';

/** Something that a verb cannot do: exit code 1. */
export class CommandError extends FrugalError {}

/** The command line itself is wrong: exit code 2. */
export class UsageError extends FrugalError {}

/** A failure that was printed already: exit code 1 and nothing more. */
export class ReportedFailure extends Error {}

/** Ctrl-C. */
export class Interrupted extends Error {}

const FAILED = 1;
const WRONG_USAGE = 2;
const INTERRUPTED = 130;

/** Tells the user what happened; returns the exit code. */
export async function reportError(error: unknown, terminal: Terminal): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE; // it has printed its message
  if (error instanceof ReportedFailure) return FAILED;
  if (error instanceof Interrupted) {
    terminal.err('Stopped.\n');
    return INTERRUPTED;
  }
  if (!(error instanceof Error) || !isExplained(error)) {
    const details = error instanceof Error ? error.stack : String(error);
    terminal.err(`${details}\nThis is a bug in frugal: please report it with the lines above.\n`);
    return FAILED;
  }
  terminal.err(`error: ${await messageOf(error)}\n`);
  return error instanceof UsageError ? WRONG_USAGE : FAILED;
}

/** Errors thrown on purpose say `[where] what`; those of the system have a code and a system call. */
function isExplained(error: Error): boolean {
  return isPlaced(error) || isOfSystem(error);
}

function isPlaced(error: Error): boolean {
  return /^\[[^\]]+\] /.test(error.message);
}

function isOfSystem({ code, syscall }: NodeJS.ErrnoException): boolean {
  return code !== undefined && syscall !== undefined;
}

/** What the system says, with what to do about it. */
async function messageOf(error: NodeJS.ErrnoException): Promise<string> {
  if (isPlaced(error)) return error.message;
  const { code, syscall, message } = error;
  const { writeAdvice } = await import('@frugal/checkpoint'); // here, as most commands load it later or never
  // Node's recursive mkdir says ENOENT where a folder that is there cannot be written to
  const unwritable = code === 'ENOENT' && syscall === 'mkdir';
  const advice = unwritable ? 'Choose a folder that is there and may be written to.' : writeAdvice(code);
  return advice === undefined ? message : `${message}. ${advice}`;
}
