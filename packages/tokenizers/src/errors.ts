/** What every error of this package carries; `where` is a file, an argument or a function. */
export interface TokenizerErrorDetails {
  readonly where: string;
  readonly what: string;
  readonly got?: string;
  readonly expected?: string;
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of all errors of this package. Message: `[where] what: got …; expected …. hint`. */
export class TokenizerError extends Error {
  override readonly name: string = 'TokenizerError';
  readonly where: string;
  readonly what: string;
  readonly got: string | undefined;
  readonly expected: string | undefined;
  readonly hint: string | undefined;

  constructor(details: TokenizerErrorDetails) {
    super(formatMessage(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.where = details.where;
    this.what = details.what;
    this.got = details.got;
    this.expected = details.expected;
    this.hint = details.hint;
  }
}

/** A tokenizer file is missing, truncated, corrupt, or asks for something that does not exist. */
export class TokenizerFileError extends TokenizerError {
  override readonly name = 'TokenizerFileError';
  readonly file: string;
  /** Position in the text of `file` (UTF-16 units) where reading stopped; undefined when it is not the syntax. */
  readonly offset: number | undefined;
  /** Path of the offending value, such as `model.merges[17]`. */
  readonly key: string | undefined;

  constructor(
    details: Omit<TokenizerErrorDetails, 'where'> & { file: string; offset?: number; key?: string },
  ) {
    const { file, offset, key } = details;
    const place = [file, key === undefined ? '' : ` ${key}`, offset === undefined ? '' : ` @ ${offset}`];
    super({ ...details, where: place.join('') });
    this.file = file;
    this.offset = offset;
    this.key = key;
  }
}

/** A chat template has a syntax error, threw an error, or refused the messages (`raise_exception`). */
export class ChatTemplateError extends TokenizerError {
  override readonly name = 'ChatTemplateError';
}

function formatMessage({ where, what, got, expected, hint }: TokenizerErrorDetails): string {
  const facts = [got && `got ${got}`, expected && `expected ${expected}`].filter(Boolean).join('; ');
  const sentence = `[${where}] ${what}${facts ? `: ${facts}` : ''}`;
  return `${/[.!?]$/.test(sentence) ? sentence : `${sentence}.`}${hint ? ` ${hint}` : ''}`;
}
