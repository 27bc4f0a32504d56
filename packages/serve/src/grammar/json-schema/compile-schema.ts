import { allOf } from '../character-automaton.js';
import {
  choice,
  type Expression,
  type Grammar,
  type GraphEdge,
  literal,
  oneOfTexts,
  repeat,
  rule,
  sequence,
} from '../expression.js';
import { GrammarError } from '../grammar-error.js';
import { parseRegex } from '../regex-parser.js';
import { exclude, typeOf } from './exclusive.js';
import { FORMATS } from './formats.js';
import {
  ANY_VALUE,
  arrayOf,
  COMMA,
  escaped,
  JSON_RULES,
  keyOtherThan,
  member,
  NOTHING,
  objectOf,
  quoted,
  SPACE,
  STRING_CHARACTER,
} from './json-text.js';
import { merge, schemasOf } from './merge.js';
import { integers, multiples, numbers } from './numbers.js';
import {
  asSchema,
  constraintsOf,
  invalid,
  isCount,
  isList,
  isNumber,
  isObject,
  isText,
  isTexts,
  KEYWORDS,
  keyword,
  resolve,
  type Schema,
  type SchemaObject,
  TYPES,
  type TypeName,
} from './schema.js';

const DEEPEST = 64;
/** Schemas inside of schemas, those that merging makes included. */
const MOST_SCHEMAS = 10_000;
const MOST_VALUES = 10_000;
const MOST_EXCLUSIVE = 256;
const LARGEST_DIVISOR = 1000;
const ANY_NUMBER = {
  ...{ low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY },
  ...{ withoutLow: false, withoutHigh: false },
};

/**
 * The documents of a schema as a grammar. It never allows a document that is not valid, but not all valid ones: properties
 * come in the order of the schema, undeclared ones only where `additionalProperties` asks for them, and a schema without
 * `type` is taken for the type its keywords are about.
 * @throws GrammarError for what is wrong, not supported (by name) or too large
 */
export function compileSchema(schema: unknown): Grammar {
  const rules = new Map(JSON_RULES);
  rules.set('document', new SchemaCompiler(rules).document(schema));
  return { start: 'document', rules };
}

/** Adds what schemas need to the rules of a grammar, which has `JSON_RULES`; the limits are for all of them together. */
export class SchemaCompiler {
  private root: Schema = true;
  /** What is compiled: part of the names of its rules, and of errors. */
  private name = '';
  private references = new Map<string, string>();
  private depth = 0;
  private schemas = 0;

  constructor(private readonly rules: Map<string, Expression>) {}

  /** The documents of one schema. @param name for errors, where there are several schemas; default: there is one */
  document(schema: unknown, name = ''): Expression {
    this.name = name;
    this.references = new Map();
    this.root = asSchema(schema, this.placeOf('#'));
    return this.read(this.root, this.placeOf('#'));
  }

  private read(schema: Schema, at: string): Expression {
    if (typeof schema === 'boolean') return schema ? ANY_VALUE : NOTHING;
    if (++this.schemas > MOST_SCHEMAS) throw tooLarge(`more than ${MOST_SCHEMAS} schemas`);
    if (++this.depth > DEEPEST) throw tooLarge(`schemas nested more than ${DEEPEST} deep`);
    const expression = this.readObject(schema, at);
    this.depth--;
    return expression;
  }

  private readObject(schema: SchemaObject, at: string): Expression {
    const constraints = constraintsOf(schema, at);
    if (constraints.length === 0) return ANY_VALUE;
    const { $ref, allOf: parts, anyOf, oneOf, ...rest } = schema;
    const hasRest = constraintsOf(rest, at).length > 0;
    if ($ref !== undefined) {
      const name = keyword(schema, '$ref', at, isText, 'a text') as string;
      if (constraints.length === 1) return rule(this.reference(name, at));
      return this.read(merge(resolve(this.root, name, at), without(schema, '$ref'), at), at);
    }
    if (parts !== undefined) {
      const list = this.list(schema, 'allOf', at);
      const whole = list.reduce(
        (sum: Schema, part) => merge(sum, this.inlined(part, at), at),
        without(schema, 'allOf'),
      );
      return this.read(whole, at);
    }
    if (anyOf !== undefined && oneOf !== undefined) throw invalid(at, ['anyOf', 'oneOf'], 'one of them');
    if (anyOf !== undefined || oneOf !== undefined) {
      const name = anyOf === undefined ? 'oneOf' : 'anyOf';
      const list = this.list(schema, name, at);
      if (name === 'oneOf') this.requireExclusive(list, at);
      return choice(
        ...list.map((each, i) => {
          const whole = hasRest ? merge(rest, this.inlined(each, at), at) : each;
          return this.read(whole, `${at}/${name}/${i}`);
        }),
      );
    }
    if (schema.enum !== undefined || 'const' in schema) return this.readValues(schema, constraints, at);
    return choice(...this.typesOf(schema, constraints, at).map((type) => this.readType(type, schema, at)));
  }

  private list(schema: SchemaObject, name: string, at: string): readonly Schema[] {
    const list = keyword(schema, name, at, isList, 'a list of schemas') as readonly unknown[];
    return schemasOf(list, `${at}/${name}`);
  }

  /** A schema that can be merged: with what it refers to in its place. */
  private inlined(schema: Schema, at: string): Schema {
    let current = schema;
    for (let i = 0; isObject(current) && typeof current.$ref === 'string'; i++) {
      if (i > DEEPEST) throw tooLarge('references that lead in a circle');
      current = merge(resolve(this.root, current.$ref, at), without(current, '$ref'), at);
    }
    return current;
  }

  /** The rule of a place that is referred to: read once, so that schemas may refer to themselves. */
  private reference(pointer: string, at: string): string {
    const known = this.references.get(pointer);
    if (known) return known;
    const name = `reference ${pointer} ${this.name}`;
    this.references.set(pointer, name);
    this.rules.set(name, this.read(resolve(this.root, pointer, at), this.placeOf(pointer)));
    return name;
  }

  private placeOf(pointer: string): string {
    return this.name === '' ? pointer : `${this.name}: ${pointer}`;
  }

  private requireExclusive(list: readonly Schema[], at: string): void {
    // Each is compared with each.
    if (list.length > MOST_EXCLUSIVE) throw tooLarge(`${list.length} schemas at ${at}/oneOf`);
    list.forEach((schema, i) => {
      const other = list.findIndex((each, j) => j > i && !exclude(this.root, schema, each));
      if (other < 0) return;
      throw new GrammarError('json schema', {
        what: 'a document could be valid for two schemas of oneOf',
        got: `${at}/oneOf/${i} and ${at}/oneOf/${other}`,
        hint: 'Use anyOf, or give each a required property with another const.',
      });
    });
  }

  private readValues(schema: SchemaObject, constraints: readonly string[], at: string): Expression {
    const listed = keyword(schema, 'enum', at, Array.isArray, 'a list of values') as unknown[] | undefined;
    const others = constraints.filter((name) => !['enum', 'const', 'type'].includes(name));
    if (others.length > 0) {
      throw new GrammarError('json schema', {
        what: `${others[0]} beside ${listed ? 'enum' : 'const'} is not supported`,
        got: at,
        hint: 'List only the values that are valid.',
      });
    }
    const json = (value: unknown) => JSON.stringify(value);
    const values = 'const' in schema ? [schema.const] : (listed as unknown[]);
    if (values.length > MOST_VALUES) throw tooLarge(`${values.length} values at ${at}/enum`);
    const types = 'type' in schema ? this.typesOf(schema, constraints, at) : TYPES;
    const known = listed && new Set(listed.map(json));
    const valid = values.filter(
      (value) => types.some((type) => isOfType(value, type)) && (!known || known.has(json(value))),
    );
    return valid.length === 0 ? NOTHING : oneOfTexts(valid.map(json));
  }

  private typesOf(schema: SchemaObject, constraints: readonly string[], at: string): readonly TypeName[] {
    const { type } = schema;
    if (type === undefined) {
      const about = TYPES.filter((name) => name in KEYWORDS).filter((name) =>
        constraints.some((each) => (KEYWORDS[name as 'object'] as readonly string[]).includes(each)),
      );
      return about;
    }
    const names = [type].flat();
    const known = names.every((name) => (TYPES as readonly unknown[]).includes(name));
    if (known && new Set(names).size === names.length) return names as TypeName[];
    throw invalid(`${at}/type`, type, `of ${TYPES.join(', ')}, each once`);
  }

  private readType(type: TypeName, schema: SchemaObject, at: string): Expression {
    switch (type) {
      case 'object':
        return this.readMembers(schema, at);
      case 'array':
        return this.readItems(schema, at);
      case 'string':
        return readString(schema, at);
      case 'number':
      case 'integer':
        return readNumber(type, schema, at);
      default:
        return rule(type);
    }
  }

  private readMembers(schema: SchemaObject, at: string): Expression {
    const properties = keyword(schema, 'properties', at, isObject, 'schemas by name') ?? {};
    const required = keyword(schema, 'required', at, isTexts, 'a list of names') ?? [];
    const extra = asSchema(
      schema.additionalProperties ?? schema.properties === undefined,
      `${at}/additionalProperties`,
    );
    const names = [...new Set([...Object.keys(properties), ...required])];
    if (names.length === 0 && extra === true) return rule('object');
    const isOpen = schema.additionalProperties !== false;
    const members = names.map((name) => {
      const own = Object.hasOwn(properties, name)
        ? properties[name]
        : isOpen && (schema.additionalProperties ?? true);
      const value = this.read(asSchema(own, `${at}/properties/${name}`), `${at}/properties/${name}`);
      return member(literal(JSON.stringify(name)), this.shared(value, at, 'value'));
    });
    const another =
      extra === false ? null : member(keyOtherThan(names), this.read(extra, `${at}/additionalProperties`));
    return objectOf(
      inOrder(
        members,
        names.map((name) => required.includes(name)),
        another && this.shared(another, at, 'additional'),
      ),
    );
  }

  private readItems(schema: SchemaObject, at: string): Expression {
    const first = schema.prefixItems === undefined ? [] : this.list(schema, 'prefixItems', at);
    const min = keyword(schema, 'minItems', at, isCount, 'an integer, 0 or more') ?? 0;
    const max = keyword(schema, 'maxItems', at, isCount, 'an integer, 0 or more') ?? Number.POSITIVE_INFINITY;
    if (schema.uniqueItems !== undefined && schema.uniqueItems !== false) {
      throw new GrammarError('json schema', { what: 'uniqueItems is not supported', got: at });
    }
    const others = asSchema(schema.items ?? true, `${at}/items`);
    const most = others === false ? Math.min(max, first.length) : max;
    if (min > most) return NOTHING;
    const starts = first.slice(0, most).map((each, i) => this.read(each, `${at}/prefixItems/${i}`));
    const needsOthers = most > starts.length;
    const other = needsOthers ? this.shared(this.read(others, `${at}/items`), at, 'items') : NOTHING;
    return arrayOf(inRow(starts, other, min, most));
  }

  /** As a rule: it may stand in many places. */
  private shared(expression: Expression, at: string, part: string): Expression {
    if (expression.kind === 'rule') return expression;
    const name = `${part} ${this.rules.size} ${at}`;
    this.rules.set(name, expression);
    return rule(name);
  }
}

/** Members in their order, optional ones perhaps left out, then any number of other ones. */
function inOrder(
  members: readonly Expression[],
  required: readonly boolean[],
  another: Expression | null,
): Expression {
  const count = members.length;
  // Node i: before member i, nothing written yet; node count + 1 + i: the same, something written.
  const begun = (i: number) => count + 1 + i;
  const [more, end] = [begun(count) + 1, begun(count) + 2];
  const edges: GraphEdge[] = members.flatMap((each, i) => [
    { from: i, to: begun(i + 1), expression: each },
    { from: begun(i), to: begun(i + 1), expression: sequence(COMMA, each) },
    ...(required[i]
      ? []
      : [
          { from: i, to: i + 1 },
          { from: begun(i), to: begun(i + 1) },
        ]),
  ]);
  if (another) {
    edges.push({ from: count, to: more, expression: another });
    for (const from of [begun(count), more])
      edges.push({ from, to: more, expression: sequence(COMMA, another) });
  }
  edges.push({ from: count, to: end });
  for (const from of [begun(count), more]) edges.push({ from, to: end, expression: SPACE });
  return { kind: 'graph', nodes: end + 1, start: 0, end, edges };
}

/** `min` to `max` items: `starts`, then others. */
function inRow(starts: readonly Expression[], other: Expression, min: number, max: number): Expression {
  const isUnlimited = max === Number.POSITIVE_INFINITY;
  const last = isUnlimited ? Math.max(min, starts.length, 1) : max;
  const end = last + 1;
  const edges: GraphEdge[] = [];
  for (let i = 0; i < last; i++) {
    const item = starts[i] ?? other;
    edges.push({ from: i, to: i + 1, expression: i === 0 ? item : sequence(COMMA, item) });
  }
  for (let i = min; i <= last; i++) edges.push({ from: i, to: end, expression: i === 0 ? undefined : SPACE });
  if (isUnlimited) edges.push({ from: last, to: last, expression: sequence(COMMA, other) });
  return { kind: 'graph', nodes: end + 1, start: 0, end, edges };
}

function readString(schema: SchemaObject, at: string): Expression {
  const min = keyword(schema, 'minLength', at, isCount, 'an integer, 0 or more') ?? 0;
  const max = keyword(schema, 'maxLength', at, isCount, 'an integer, 0 or more') ?? Number.POSITIVE_INFINITY;
  const pattern = keyword(schema, 'pattern', at, isText, 'a text');
  const format = keyword(schema, 'format', at, isText, 'a text');
  if (max < min) return NOTHING;
  if (format !== undefined && !Object.hasOwn(FORMATS, format)) {
    throw new GrammarError('json schema', {
      what: `the format ${JSON.stringify(format)} is not supported`,
      got: `${at}/format`,
      expected: Object.keys(FORMATS).join(', '),
    });
  }
  const parts: Expression[] = [];
  if (pattern !== undefined) parts.push(parseRegex(pattern, 'search'));
  if (format !== undefined) parts.push(parseRegex(FORMATS[format], 'whole'));
  const isBounded = min > 0 || max < Number.POSITIVE_INFINITY;
  if (parts.length === 0) return isBounded ? quoted(repeat(STRING_CHARACTER, min, max)) : rule('string');
  if (isBounded) parts.push(repeat(parseRegex('[^]', 'whole'), min, max));
  return quoted(escaped(parts.length === 1 ? parts[0] : allOf(parts)));
}

function readNumber(type: 'number' | 'integer', schema: SchemaObject, at: string): Expression {
  const bound = (name: string) => keyword(schema, name, at, isNumber, 'a number');
  const divisor = bound('multipleOf');
  const bounds = tightest(
    bound('minimum'),
    bound('exclusiveMinimum'),
    bound('maximum'),
    bound('exclusiveMaximum'),
  );
  if (divisor === undefined) return type === 'integer' ? integers(bounds) : numbers(bounds);
  if (Number.isInteger(divisor) && divisor > 0 && divisor <= LARGEST_DIVISOR)
    return multiples(bounds, divisor);
  throw new GrammarError('json schema', {
    what: 'this multipleOf is not supported',
    got: `${divisor} at ${at}/multipleOf`,
    expected: `an integer from 1 to ${LARGEST_DIVISOR}`,
  });
}

function tightest(
  minimum = ANY_NUMBER.low,
  above = ANY_NUMBER.low,
  maximum = ANY_NUMBER.high,
  below = ANY_NUMBER.high,
) {
  return {
    low: Math.max(minimum, above),
    high: Math.min(maximum, below),
    withoutLow: above >= minimum && above !== ANY_NUMBER.low,
    withoutHigh: below <= maximum && below !== ANY_NUMBER.high,
  };
}

function isOfType(value: unknown, type: TypeName): boolean {
  return type === 'integer' ? Number.isInteger(value) : typeOf(value) === type;
}

function without(schema: SchemaObject, name: string): SchemaObject {
  return Object.fromEntries(Object.entries(schema).filter(([each]) => each !== name));
}

function tooLarge(got: string): GrammarError {
  return new GrammarError('json schema', {
    what: 'the schema is too large',
    got,
    hint: 'Make it smaller or flatter.',
  });
}
