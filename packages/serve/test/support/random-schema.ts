type Draw = () => number;
type Json = Record<string, unknown>;

const words = ['name', 'age', 'a b', 'naïve', 'quo"te', 'back\\slash', '名前', 'name2', 'x', ''];
const formats = ['date-time', 'date', 'time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid', 'uri'];
const patterns = [
  '^[a-z]{2,5}$',
  '^(foo|bar)+$',
  '\\d',
  '^"\\w*\\\\"$',
  '^[^x]?$',
  'é|\\u4e09',
  '^\\s$',
  '^.{0,3}$|^long$',
];

const whole = (draw: Draw, most: number) => Math.floor(draw() * (most + 1));
const pick = <T>(draw: Draw, list: readonly T[]): T => list[whole(draw, list.length - 1)];
const maybe = (draw: Draw, value: Json): Json => (draw() < 0.5 ? value : {});

/** Any schema that the compiler supports; `#/$defs/tree` refers to itself. */
export function randomSchema(draw: Draw): Json {
  const schema = schemaOf(draw, 3);
  const properties = { value: schemaOf(draw, 0), next: { $ref: '#/$defs/tree' } };
  const tree = { type: 'object', properties, required: ['value'] };
  return { ...(schema === true ? {} : schema), $defs: { tree } };
}

function schemaOf(draw: Draw, depth: number): Json | true {
  const kinds = ['string', 'number', 'integer', 'boolean', 'null', 'enum', 'const', 'several'];
  if (depth > 0)
    kinds.push('object', 'object', 'object', 'array', 'array', 'anyOf', 'oneOf', 'allOf', 'any', 'ref');
  const kind = pick(draw, kinds);
  switch (kind) {
    case 'object':
      return randomObject(draw, depth);
    case 'array':
      return randomArray(draw, depth);
    case 'string':
      return randomString(draw);
    case 'number':
    case 'integer':
      return randomNumber(draw, kind);
    case 'enum':
      return { enum: [1, 'one', null, [1, 2], { a: 'b' }, true, 1.5e-7, 'wörd'].slice(whole(draw, 6)) };
    case 'const':
      return { const: pick(draw, ['x', 7, { deep: [1, { er: null }] }, 'quo"te\n']) };
    case 'several':
      return { type: ['string', 'integer', 'null'].slice(whole(draw, 1)), ...maybe(draw, { maxLength: 4 }) };
    case 'anyOf':
      return { anyOf: [schemaOf(draw, depth - 1), schemaOf(draw, depth - 1)] };
    case 'oneOf':
      return { oneOf: [tagged(draw, depth, 'cat'), tagged(draw, depth, 'dog'), { type: 'integer' }] };
    case 'allOf':
      return { allOf: [{ type: 'object', properties: { base: schemaOf(draw, 0) } }, randomObject(draw, 1)] };
    case 'ref':
      return { $ref: '#/$defs/tree' };
    case 'any':
      return true;
    default:
      return { type: kind, title: 'a title' };
  }
}

function randomObject(draw: Draw, depth: number): Json {
  const names = words.filter(() => draw() < 0.35);
  const properties = Object.fromEntries(names.map((name) => [name, schemaOf(draw, depth - 1)]));
  const extra = pick(draw, [false, undefined, true, { type: 'integer' }]);
  const required = names.filter(() => draw() < 0.6);
  return {
    type: 'object',
    properties,
    ...maybe(draw, { required }),
    ...(extra !== undefined && { additionalProperties: extra }),
  };
}

function randomArray(draw: Draw, depth: number): Json {
  const minItems = whole(draw, 2);
  return {
    type: 'array',
    items: schemaOf(draw, depth - 1),
    ...maybe(draw, { prefixItems: [schemaOf(draw, 0), schemaOf(draw, 0)] }),
    ...maybe(draw, { minItems }),
    ...maybe(draw, { maxItems: minItems + whole(draw, 3) }),
  };
}

function randomString(draw: Draw): Json {
  const minLength = whole(draw, 3);
  if (draw() < 0.3) return { type: 'string', format: pick(draw, formats) };
  if (draw() < 0.3) return { type: 'string', pattern: pick(draw, patterns) };
  if (draw() < 0.2) return { type: 'string', pattern: '[a-c]+', minLength, maxLength: minLength + 4 };
  return {
    type: 'string',
    ...maybe(draw, { minLength }),
    ...maybe(draw, { maxLength: minLength + whole(draw, 5) }),
  };
}

function randomNumber(draw: Draw, type: string): Json {
  const low = Math.round((draw() - 0.5) * 400) / (type === 'integer' ? 1 : pick(draw, [1, 4, 100]));
  const high = low + pick(draw, [0.5, 3, 17.25, 1000]) + 1;
  return {
    type,
    ...maybe(draw, draw() < 0.5 ? { minimum: low } : { exclusiveMinimum: low }),
    ...maybe(draw, draw() < 0.5 ? { maximum: high } : { exclusiveMaximum: high }),
    ...(draw() < 0.2 && { minimum: low, maximum: low + 40, multipleOf: pick(draw, [1, 3, 7]) }),
  };
}

function tagged(draw: Draw, depth: number, tag: string): Json {
  const properties = { kind: { const: tag }, value: schemaOf(draw, depth - 1) };
  return { type: 'object', properties, required: ['kind', 'value'], additionalProperties: false };
}
