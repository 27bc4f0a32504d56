import type { Backend } from '../backend.js';
import type { ConformanceCase, InputSpec } from './case.js';

/** The smallest number of f32 and bf16 that has all bits of its mantissa. */
const SMALLEST_NORMAL = 2 ** -126;

/** Cases without subnormal numbers, kept because results of the reference are known by their case. */
const withoutSubnormals = new WeakMap<ConformanceCase, ConformanceCase>();

/** The case as it is, or for a backend that counts subnormal numbers as zero with zeros in their place. */
export function suited(conformanceCase: ConformanceCase, { capabilities }: Backend): ConformanceCase {
  if (capabilities.subnormals !== false || !conformanceCase.inputs.some(hasSubnormals))
    return conformanceCase;
  const known = withoutSubnormals.get(conformanceCase);
  if (known) return known;
  const made = { ...conformanceCase, inputs: conformanceCase.inputs.map(flushed) };
  withoutSubnormals.set(conformanceCase, made);
  return made;
}

function isSubnormal(number: number): boolean {
  return number !== 0 && Math.abs(number) < SMALLEST_NORMAL;
}

function hasSubnormals({ values }: InputSpec): boolean {
  return values.kind === 'list' && values.list.some(isSubnormal);
}

function flushed(input: InputSpec): InputSpec {
  const { values } = input;
  if (values.kind !== 'list') return input;
  return { ...input, values: { kind: 'list', list: values.list.map((n) => (isSubnormal(n) ? 0 : n)) } };
}
