import { type ErrorDetails, FrugalError } from '@frugal/tensor-core';
import { EngineError, type EngineErrorCode } from '../engine/errors.js';

/** An error as data, so that the other side of a process boundary can throw it again. */
export type PlainError =
  | {
      readonly kind: 'engine';
      readonly code: EngineErrorCode;
      readonly details: Details;
      readonly cause?: string | undefined;
    }
  | { readonly kind: 'frugal'; readonly name: string; readonly details: Details }
  | { readonly kind: 'unexpected'; readonly message: string; readonly stack: string | undefined };

type Details = Omit<ErrorDetails, 'cause'>;

export function toPlainError(error: unknown): PlainError {
  if (error instanceof EngineError) {
    const { cause } = error;
    const why = cause instanceof Error ? (cause.stack ?? cause.message) : undefined;
    return { kind: 'engine', code: error.code, details: detailsOf(error), cause: why };
  }
  if (error instanceof FrugalError) {
    return { kind: 'frugal', name: error.name, details: detailsOf(error) };
  }
  if (error instanceof Error) return { kind: 'unexpected', message: error.message, stack: error.stack };
  return { kind: 'unexpected', message: String(error), stack: undefined };
}

export function fromPlainError(plain: PlainError): Error {
  if (plain.kind === 'engine') {
    const { where, ...details } = plain.details;
    const cause = plain.cause === undefined ? undefined : withStack(plain.cause.split('\n')[0], plain.cause);
    return new EngineError(plain.code, { ...details, cause });
  }
  if (plain.kind === 'frugal') {
    const error = new FrugalError(plain.details);
    error.name = plain.name;
    return error;
  }
  return withStack(plain.message, plain.stack);
}

function detailsOf({ where, what, got, expected, hint }: FrugalError): Details {
  return { where, what, got, expected, hint };
}

/** The stack of the other process says where it happened; one made here would not. */
function withStack(message: string, stack: string | undefined): Error {
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
