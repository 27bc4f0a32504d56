import { isObject, resolve, type Schema, TYPES } from './schema.js';

/**
 * Whether no document can be valid for both schemas, as far as types, values and tags show: `oneOf` is then the same as
 * `anyOf`.
 */
export function exclude(root: Schema, a: Schema, b: Schema): boolean {
  const [left, right] = [outline(root, a), outline(root, b)];
  if (!left.types.some((type) => right.types.includes(type))) return true;
  if (left.values && right.values) return !left.values.some((value) => right.values?.includes(value));
  if (!onlyObjects(left) || !onlyObjects(right)) return false;
  for (const [name, values] of left.tags) {
    const others = right.tags.get(name);
    if (others && !values.some((value) => others.includes(value))) return true;
  }
  return false;
}

interface Outline {
  /** `number` stands for integers as well. */
  readonly types: readonly string[];
  /** All values, as JSON, where they are listed. */
  readonly values: readonly string[] | null;
  /** Listed values of required properties. */
  readonly tags: ReadonlyMap<string, readonly string[]>;
}

function outline(root: Schema, schema: Schema, depth = 0): Outline {
  if (!isObject(schema)) return { types: schema ? typeNames(TYPES) : [], values: null, tags: new Map() };
  if (typeof schema.$ref === 'string' && depth < 16)
    return outline(root, resolve(root, schema.$ref, ''), depth + 1);
  const values = valuesOf(schema);
  const types = values
    ? values.map((value) => typeOf(JSON.parse(value)))
    : typeNames([(schema.type as string | string[] | undefined) ?? TYPES.slice()].flat());
  const tags = new Map<string, readonly string[]>();
  const properties = isObject(schema.properties) ? schema.properties : {};
  for (const name of Array.isArray(schema.required) ? schema.required : []) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    const listed = isObject(property) ? valuesOf(property) : null;
    if (listed) tags.set(name, listed);
  }
  return { types: [...new Set(types)], values, tags };
}

function valuesOf(schema: { readonly [name: string]: unknown }): string[] | null {
  if ('const' in schema) return [JSON.stringify(schema.const)];
  return Array.isArray(schema.enum) ? schema.enum.map((value) => JSON.stringify(value)) : null;
}

const onlyObjects = ({ types }: Outline) => types.length === 1 && types[0] === 'object';

const typeNames = (types: readonly string[]) => [
  ...new Set(types.map((type) => (type === 'integer' ? 'number' : type))),
];

export function typeOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}
