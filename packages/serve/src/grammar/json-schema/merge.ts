import { GrammarError } from '../grammar-error.js';
import { asSchema, constraintsOf, isObject, type Schema, type SchemaObject } from './schema.js';

/** How two values of a keyword become the one that demands both. */
const RULES: Readonly<Record<string, (a: never, b: never) => unknown>> = {
  type: mergeTypes,
  required: (a: string[], b: string[]) => [...new Set([...a, ...b])],
  enum: (a: unknown[], b: unknown[]) => a.filter((value) => b.some((other) => same(value, other))),
  items: both,
  additionalProperties: both,
  minimum: Math.max,
  exclusiveMinimum: Math.max,
  minLength: Math.max,
  minItems: Math.max,
  maximum: Math.min,
  exclusiveMaximum: Math.min,
  maxLength: Math.min,
  maxItems: Math.min,
};

/** A schema whose documents are valid for both. @throws GrammarError where that cannot be said with the supported keywords */
export function merge(a: Schema, b: Schema, at: string): Schema {
  if (typeof a === 'boolean') return a ? b : false;
  if (typeof b === 'boolean') return b ? a : false;
  const merged: Record<string, unknown> = { ...listed(a) };
  const other = listed(b);
  // There `items` is about the first items too.
  if (hasBareItems(merged, other) || hasBareItems(other, merged)) throw conflict('prefixItems', at);
  const properties = mergeProperties(merged, other);
  for (const name of constraintsOf(other, at)) {
    const [left, right] = [merged[name], other[name]];
    if (left === undefined || same(left, right)) merged[name] = right;
    else if (Object.hasOwn(RULES, name)) merged[name] = RULES[name](left as never, right as never);
    else if (name !== 'properties') throw conflict(name, at);
  }
  return properties ? { ...merged, properties } : merged;
}

/** Whether one side says how each item must be, and the other how the first ones must. */
function hasBareItems(prefixed: SchemaObject, other: SchemaObject): boolean {
  return prefixed.prefixItems !== undefined && other.prefixItems === undefined && other.items !== undefined;
}

/** `const` as the `enum` that it is, and without annotations. */
function listed(schema: SchemaObject): SchemaObject {
  const own = Object.fromEntries(constraintsOf(schema, '').map((name) => [name, schema[name]]));
  const { const: only, ...rest } = own;
  if (!('const' in own)) return own;
  return {
    ...rest,
    enum: rest.enum === undefined ? [only] : [only].filter((value) => has(rest.enum, value)),
  };
}

function has(list: unknown, value: unknown): boolean {
  return Array.isArray(list) && list.some((other) => same(other, value));
}

/** What one side does not declare, its `additionalProperties` decides on. */
function mergeProperties(a: SchemaObject, b: SchemaObject): SchemaObject | null {
  const [left, right] = [a.properties, b.properties];
  if (left === undefined && right === undefined) return null;
  const own = ({ properties, additionalProperties = true }: SchemaObject, name: string): unknown =>
    isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
  const names = new Set([left, right].flatMap((each) => (isObject(each) ? Object.keys(each) : [])));
  return Object.fromEntries([...names].map((name) => [name, both(own(a, name), own(b, name))]));
}

function both(a: unknown, b: unknown): unknown {
  if (a === true) return b;
  return b === true ? a : { allOf: [a, b] };
}

function mergeTypes(a: string | string[], b: string | string[]): string[] {
  const [left, right] = [[a].flat(), [b].flat()];
  const both = left.filter(
    (type) => right.includes(type) || (type === 'integer' && right.includes('number')),
  );
  const narrowed = right.filter((type) => type === 'integer' && left.includes('number'));
  return [...new Set([...both, ...narrowed])];
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function conflict(name: string, at: string): GrammarError {
  return new GrammarError('json schema', {
    what: `${name} cannot be combined with that of another part`,
    got: at,
    hint: 'Write it once, in one schema.',
  });
}

/** The list of schemas of `allOf`, `anyOf` or `oneOf`. */
export function schemasOf(value: unknown, at: string): readonly Schema[] {
  return (value as readonly unknown[]).map((each, i) => asSchema(each, `${at}/${i}`));
}
