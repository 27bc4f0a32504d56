/** What every error of this package carries; `where` is a file, a folder or a tensor. */
export interface CheckpointErrorDetails {
  readonly where: string;
  readonly what: string;
  readonly got?: string;
  readonly expected?: string;
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of all errors of this package. Message: `[where] what: got …; expected …. hint`. */
export class CheckpointError extends Error {
  override readonly name: string = 'CheckpointError';
  readonly where: string;
  readonly what: string;
  readonly got: string | undefined;
  readonly expected: string | undefined;
  readonly hint: string | undefined;

  constructor(details: CheckpointErrorDetails) {
    super(formatMessage(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.where = details.where;
    this.what = details.what;
    this.got = details.got;
    this.expected = details.expected;
    this.hint = details.hint;
  }
}

/** A file is not what its format promises: corrupt, truncated, hostile, or of an unknown kind. */
export class CheckpointFormatError extends CheckpointError {
  override readonly name = 'CheckpointFormatError';
  readonly file: string;
  /** Byte position in `file` where the problem was seen; undefined when it concerns the whole file. */
  readonly offset: number | undefined;

  constructor(details: Omit<CheckpointErrorDetails, 'where'> & { file: string; offset?: number }) {
    const { file, offset } = details;
    super({ ...details, where: offset === undefined ? file : `${file} @ byte ${offset}` });
    this.file = file;
    this.offset = offset;
  }
}

/** There is no checkpoint at this path (no such folder, no config.json, no weights). */
export class CheckpointNotFoundError extends CheckpointError {
  override readonly name = 'CheckpointNotFoundError';
}

/** The output path is taken, and replacing it was not asked for or would not be safe. */
export class CheckpointExistsError extends CheckpointError {
  override readonly name = 'CheckpointExistsError';
}

/** Saving failed (bad input, full disk, no permission). What was at the path before is still there, whole. */
export class CheckpointWriteError extends CheckpointError {
  override readonly name = 'CheckpointWriteError';
}

/** The checkpoint was replaced by a newer one while it was being read. */
export class CheckpointChangedError extends CheckpointError {
  override readonly name = 'CheckpointChangedError';
}

/** Numbers that the wanted dtype cannot hold, or bytes that do not fit the dtype. */
export class ConversionError extends CheckpointError {
  override readonly name = 'ConversionError';
}

/** Message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `code` of a system error such as ENOENT, or undefined. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** A value as it appears in an error message: quoted, on one line, never longer than 80 characters. */
export function show(value: unknown): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function formatMessage({ where, what, got, expected, hint }: CheckpointErrorDetails): string {
  const facts = [got === undefined ? '' : `got ${got}`, expected === undefined ? '' : `expected ${expected}`];
  const detail = facts.filter(Boolean).join('; ');
  return `[${where}] ${what}${detail ? `: ${detail}` : ''}.${hint ? ` ${hint}` : ''}`;
}
