/**
 * Base of all errors that Frugal throws on purpose: `[where] what is wrong: got …; expected …. What to do.`
 * The parts stay available as data for programs.
 */
export class FrugalError extends Error {
  readonly where: string;
  readonly what: string;
  readonly got: string | undefined;
  readonly expected: string | undefined;
  readonly hint: string | undefined;

  constructor(details: ErrorDetails) {
    super(formatMessage(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.where = details.where;
    this.what = details.what;
    this.got = details.got;
    this.expected = details.expected;
    this.hint = details.hint;
  }
}

export interface ErrorDetails {
  /** The op, function or file that refuses. */
  where: string;
  what: string;
  got?: string | undefined;
  expected?: string | undefined;
  /** What to do: a full sentence. */
  hint?: string | undefined;
  cause?: unknown;
}

function formatMessage({ where, what, got, expected, hint }: ErrorDetails): string {
  const facts = [got === undefined ? '' : `got ${got}`, expected === undefined ? '' : `expected ${expected}`];
  const comparison = facts.filter(Boolean).join('; ');
  return `[${where}] ${what}${comparison ? `: ${comparison}` : ''}.${hint ? ` ${hint}` : ''}`;
}

/** Shapes that do not fit an op. */
export class ShapeError extends FrugalError {}
/** An element type that an op does not take. */
export class DTypeError extends FrugalError {}
/** An axis outside a tensor's rank. */
export class AxisError extends FrugalError {}
/** An index outside the indexed range. */
export class IndexError extends FrugalError {}
/** A tensor used after `dispose()`, or changed while autograd still needed it. */
export class LifetimeError extends FrugalError {}
/** A backend that lacks an op, a dtype or a device. */
export class BackendError extends FrugalError {}
/** A value that is not in the allowed set or range. */
export class ArgumentError extends FrugalError {}
/** NaN or infinity where a finite number is needed. */
export class NonFiniteError extends FrugalError {}
