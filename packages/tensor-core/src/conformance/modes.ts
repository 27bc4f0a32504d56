import type { Backend } from '../backend.js';
import { dispatch } from '../dispatch.js';
import { isFloating } from '../dtype.js';
import { gradcheck } from '../gradcheck.js';
import { mutatedInputs } from '../ops/definition.js';
import { referenceBackend } from '../reference/index.js';
import { type ConformanceCase, hasEdgeValues } from './case.js';
import { difference, type Values } from './compare.js';
import { withoutFusedKernels } from './decomposed.js';
import {
  definitionOf,
  type Evaluation,
  evaluate,
  evaluateGradients,
  isPrimitive,
  runsNatively,
} from './evaluate.js';
import { buildInput } from './generate.js';
import { classOf, toleranceOf } from './tolerance.js';

/** How many roundings may follow each other in a decomposition or a gradient, next to one fused kernel. */
const CHAIN = { f32: 4, half: 8 } as const;

/** Results of the reference, kept because each backend, instruction set and mode is compared with the same ones. */
const expectedValues = new WeakMap<ConformanceCase, Promise<Evaluation>>();
const expectedGradients = new WeakMap<ConformanceCase, Promise<(Values | null)[]>>();

function once<K extends object, V>(known: WeakMap<K, V>, key: K, make: () => V): V {
  const value = known.get(key) ?? make();
  known.set(key, value);
  return value;
}

/** Messages about what is wrong; none when the case passes. */
type Findings = string[];

export async function checkValues(
  conformanceCase: ConformanceCase,
  backend: Backend,
  chained = !runsNatively(conformanceCase, backend),
): Promise<Findings> {
  const expected = await once(expectedValues, conformanceCase, () =>
    evaluate(conformanceCase, referenceBackend()),
  );
  const actual = await evaluate(conformanceCase, backend);
  const { op, tolerance: kind = classOf[op] ?? 'accumulated' } = conformanceCase;
  const mutates = mutatedInputs(definitionOf(op), conformanceCase.inputs, conformanceCase.attributes);
  const allowed = (values: Values) => toleranceOf(values.dtype, kind, chained ? chainOf(values) : 1);
  return [
    ...compareAll('output', actual.outputs, expected.outputs, (values) => allowed(values)),
    ...compareAll('input', actual.inputs, expected.inputs, (values, i) =>
      mutates.includes(i) ? allowed(values) : toleranceOf(values.dtype, 'exact'),
    ),
  ];
}

function chainOf({ dtype }: Values): number {
  return dtype === 'f32' ? CHAIN.f32 : CHAIN.half;
}

function compareAll(
  what: string,
  actual: readonly (Values | null)[],
  expected: readonly (Values | null)[],
  tolerance: (values: Values, index: number) => ReturnType<typeof toleranceOf>,
): Findings {
  if (actual.length !== expected.length) return [`${actual.length} ${what}s instead of ${expected.length}`];
  return expected.flatMap((values, i) => {
    const other = actual[i];
    if (!values || !other) return values === other ? [] : [`${what} ${i} is ${other ? 'there' : 'missing'}`];
    const found = difference(other, values, tolerance(values, i));
    return found ? [`${what} ${i}: ${found}`] : [];
  });
}

/** Values and gradients of the decomposition on this backend. */
export async function checkDecomposed(conformanceCase: ConformanceCase, backend: Backend): Promise<Findings> {
  const hidden = withoutFusedKernels(backend);
  const values = await checkValues(conformanceCase, hidden, true);
  if (!hasGradients(conformanceCase)) return values;
  return [...values, ...(await compareGradients(conformanceCase, hidden))];
}

export async function checkGradients(conformanceCase: ConformanceCase, backend: Backend): Promise<Findings> {
  const findings = await compareGradients(conformanceCase, backend);
  if (conformanceCase.gradients === 'differences')
    findings.push(...(await checkDifferences(conformanceCase, backend)));
  return findings;
}

async function compareGradients(conformanceCase: ConformanceCase, backend: Backend): Promise<Findings> {
  const expected = await once(expectedGradients, conformanceCase, () =>
    evaluateGradients(conformanceCase, referenceBackend()),
  );
  const actual = await evaluateGradients(conformanceCase, backend);
  const kind = classOf[conformanceCase.op] === 'linalg' ? 'linalg' : 'accumulated';
  return compareAll('gradient', actual, expected, (values) =>
    toleranceOf(values.dtype, kind, chainOf(values)),
  );
}

async function checkDifferences(conformanceCase: ConformanceCase, backend: Backend): Promise<Findings> {
  const { op, inputs, attributes, name } = conformanceCase;
  const stored = inputs.map((spec, index) => {
    const { stored } = buildInput(
      { ...conformanceCase, inputs: inputs.map((i) => ({ ...i, layout: 'plain' })) },
      index,
      backend,
    );
    return stored.setRequiresGrad(!spec.constant && isFloating(spec.dtype));
  });
  try {
    await gradcheck((...tensors) => dispatch(op, tensors, attributes), stored, { name });
    return [];
  } catch (error) {
    return [`finite differences: ${error instanceof Error ? error.message : String(error)}`];
  } finally {
    for (const tensor of stored) tensor.dispose();
  }
}

/** Cases that the mode applies to. */
export function hasDecomposition({ op, decomposed }: ConformanceCase): boolean {
  return decomposed !== false && !isPrimitive(op) && definitionOf(op).decompose !== undefined;
}

export function hasGradients(conformanceCase: ConformanceCase): boolean {
  const { op, inputs, gradients } = conformanceCase;
  if (!definitionOf(op).vjp || gradients === false) return false;
  if (gradients === undefined && hasEdgeValues(conformanceCase)) return false;
  return inputs.some(({ constant, dtype }) => !constant && isFloating(dtype));
}
