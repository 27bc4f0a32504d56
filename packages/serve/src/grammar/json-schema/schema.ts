import { GrammarError } from '../grammar-error.js';

/** A JSON schema as it arrives: checked keyword by keyword as it is read. */
export type Schema = boolean | SchemaObject;
export type SchemaObject = { readonly [keyword: string]: unknown };

export const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
export type TypeName = (typeof TYPES)[number];

/** They say nothing about which documents are valid. */
const ANNOTATIONS = new Set([
  ...['$schema', '$id', '$anchor', '$comment', '$defs', 'definitions', 'title', 'description', 'default'],
  ...['example', 'examples', 'deprecated', 'readOnly', 'writeOnly', 'discriminator'],
]);

/** Keywords that are followed, by the type they are about. */
export const KEYWORDS = {
  any: ['$ref', 'type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf'],
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
} as const;

const FOLLOWED = new Set<string>(Object.values(KEYWORDS).flat());

/** Keywords that decide which documents are valid. @throws GrammarError for one that is not supported, by its name */
export function constraintsOf(schema: SchemaObject, at: string): readonly string[] {
  const names = Object.keys(schema).filter((name) => schema[name] !== undefined);
  const constraints = names.filter((name) => !ANNOTATIONS.has(name) && !name.startsWith('x-'));
  const unknown = constraints.find((name) => !FOLLOWED.has(name));
  if (unknown === undefined) return constraints;
  throw new GrammarError('json schema', {
    what: `the keyword ${unknown} is not supported`,
    got: `${at}/${unknown}`,
    expected: [...FOLLOWED].join(', '),
  });
}

/** @throws GrammarError for what is no schema */
export function asSchema(value: unknown, at: string): Schema {
  if (typeof value === 'boolean' || isObject(value)) return value;
  throw invalid(at, value, 'a schema: an object, true or false');
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A keyword's value if it is there and `check` holds. @throws GrammarError */
export function keyword<T>(
  schema: SchemaObject,
  name: string,
  at: string,
  check: (value: unknown) => value is T,
  expected: string,
): T | undefined {
  const value = schema[name];
  if (value === undefined) return undefined;
  if (check(value)) return value;
  throw invalid(`${at}/${name}`, value, expected);
}

export const isNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value);
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
export const isText = (value: unknown): value is string => typeof value === 'string';
export const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(isText);
export const isList = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) && value.length > 0;

export function invalid(at: string, got: unknown, expected: string): GrammarError {
  const text = JSON.stringify(got) ?? String(got);
  return new GrammarError('json schema', {
    what: `${at} is not valid`,
    got: text.length <= 80 ? text : `${text.slice(0, 80)}…`,
    expected,
  });
}

/** Local references only. @throws GrammarError */
export function resolve(root: Schema, reference: string, at: string): Schema {
  if (!/^#(\/|$)/.test(reference)) {
    throw new GrammarError('json schema', {
      what: `${at}/$ref points outside of the schema`,
      got: reference,
      expected: '# or #/$defs/NAME',
    });
  }
  let value: unknown = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const name = decodePointer(part);
    const has = (isObject(value) || Array.isArray(value)) && Object.hasOwn(value, name);
    if (!has) throw invalid(`${at}/$ref`, reference, 'a place that exists in the schema');
    value = (value as SchemaObject)[name];
  }
  return asSchema(value, reference);
}

function decodePointer(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // A percent sign that stands for itself.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}
