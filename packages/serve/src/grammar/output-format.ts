import type { Grammar } from './expression.js';
import { parseGbnf } from './gbnf-parser.js';
import { GrammarError } from './grammar-error.js';
import { compileSchema } from './json-schema/compile-schema.js';
import { parseRegex } from './regex-parser.js';
import { type ToolCallsFormat, toolCalls } from './tool-calls.js';

/** What an answer has to be. */
export type OutputFormat =
  /** Any JSON object. */
  | { readonly type: 'json-object' }
  /** A document that is valid for a JSON schema (of draft 2020-12, see `compileSchema`). */
  | { readonly type: 'json-schema'; readonly schema: unknown }
  /** A text that matches a regular expression from its first to its last character. */
  | { readonly type: 'regex'; readonly pattern: string }
  /** A text of a grammar in GBNF. */
  | { readonly type: 'grammar'; readonly grammar: string }
  | ToolCallsFormat;

/** Characters in all; compiling takes time while others wait. */
const LONGEST = 200_000;

/** @throws GrammarError for what is wrong, not supported or too large */
export function grammarOf(format: OutputFormat): Grammar {
  const size = JSON.stringify(format).length;
  if (size > LONGEST) {
    throw new GrammarError(format.type === 'regex' ? 'regex' : 'grammar', {
      what: 'the format is too long',
      got: `${size} characters`,
      expected: `at most ${LONGEST}`,
    });
  }
  switch (format.type) {
    case 'json-object':
      return compileSchema({ type: 'object' });
    case 'json-schema':
      return compileSchema(format.schema);
    case 'regex':
      return { start: 'root', rules: new Map([['root', parseRegex(format.pattern, 'whole')]]) };
    case 'grammar':
      return parseGbnf(format.grammar);
    case 'tool-calls':
      return toolCalls(format);
  }
}
