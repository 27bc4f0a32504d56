import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { signatures } from '../src/abi/signatures.js';

interface Header {
  readonly header: string;
  readonly parameters: readonly (readonly [name: string, type: string])[];
}

const text = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
/** Parameters as the headers of CANN list them. */
const headers = JSON.parse(text('fixtures/aclnn-signatures.json')) as Record<string, Header>;

function typesOf({ parameters }: Header): string[] {
  return parameters.slice(0, -2).map(([, type]) => type);
}

/** What a type of the headers is in C. */
const inC: Readonly<Record<string, string>> = {
  tensor: 'const void*',
  scalar: 'const void*',
  intArray: 'const void*',
  tensorList: 'const void*',
  'dtype(i32)': 'int',
  cstr: 'char*',
  bool: 'bool',
  i8: 'int8_t',
  i32: 'int',
  i64: 'int64_t',
  f32: 'float',
  f64: 'double',
};

it('calls every op with the parameters of its header', () => {
  const expected = Object.entries(headers).map(([op, header]) => [
    op,
    typesOf(header).map((type) => type.replace('(i32)', '')),
  ]);
  expect(signatures).toEqual(Object.fromEntries(expected));
});

it('is proved on a stub whose functions have the parameters of the headers too', () => {
  const folder = new URL('../stub/', import.meta.url);
  const sources = readdirSync(folder).filter((name) => name.startsWith('ops_') && name.endsWith('.cpp'));
  const prototypes = sources.flatMap((name) =>
    [...text(`../stub/${name}`).matchAll(/^PHASE1\((\w+), ([^)]*)\)/gm)].map(([, op, list]) => ({
      op,
      types: list.split(', ').map((parameter) => parameter.replace(/\s*\w+$/, '')),
    })),
  );
  const named = prototypes.filter(({ op }) => op !== 'op'); // the macros of elementwise ops
  expect(named.length).toBeGreaterThan(50);
  for (const { op, types } of named) {
    expect([op, ...types]).toEqual([op, ...typesOf(headers[op]).map((type) => inC[type])]);
  }
});
