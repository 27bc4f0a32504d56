/** A data set that cannot be used as it is: `[file] what is wrong: got …; expected …. What to do.` */
export class DataError extends Error {
  readonly file: string;
  /** Byte or token position, where there is one. */
  readonly offset: number | undefined;

  constructor(details: {
    readonly file: string;
    readonly what: string;
    readonly got?: string;
    readonly expected?: string;
    readonly hint?: string;
    readonly offset?: number;
    readonly cause?: unknown;
  }) {
    const { file, what, got, expected, hint, offset } = details;
    const facts = [got && `got ${got}`, expected && `expected ${expected}`].filter(Boolean).join('; ');
    const at = offset === undefined ? '' : ` at ${offset}`;
    super(`[${file}${at}] ${what}${facts ? `: ${facts}` : ''}.${hint ? ` ${hint}` : ''}`, {
      cause: details.cause,
    });
    this.name = 'DataError';
    this.file = file;
    this.offset = offset;
  }
}
