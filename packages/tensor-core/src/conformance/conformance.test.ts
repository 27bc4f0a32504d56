import { describe, expect, it } from 'vitest';
import type { Backend, Kernels } from '../backend.js';
import { type OpName, operations, primitiveOps, referenceBackend } from '../index.js';
import { layoutOps } from '../ops/specs.js';
import { rawInPlace } from '../reference/values.js';
import {
  type ConformanceMode,
  conformanceCases,
  conformanceTasks,
  describeConformance,
  runConformance,
} from './index.js';

describeConformance(referenceBackend(), { describe, it, expect });

/** The contract check `packed layouts` is about the two others. */
const opNames = (Object.keys(operations) as OpName[]).filter(
  (op) => !layoutOps.some((other) => op === other),
);

describe('conformance cases', () => {
  it('have unique names', () => {
    const names = conformanceCases.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it('cover every op', () => {
    const covered = new Set(conformanceCases.map(({ op }) => op));
    expect(opNames.filter((op) => !covered.has(op))).toEqual([]);
  });

  it('check the gradient of every differentiable op by finite differences', () => {
    const covered = new Set(
      conformanceCases.flatMap(({ op, gradients }) => (gradients === 'differences' ? [op] : [])),
    );
    // A staircase has no slope: ops/linear.test.ts compares its gradients with plain loops.
    covered.add('int8Linear');
    expect(opNames.filter((op) => operations[op].vjp && !covered.has(op))).toEqual([]);
  });

  it('check the decomposition of every op that has one', () => {
    const covered = new Set(conformanceTasks('decomposed').map(({ op }) => op));
    expect(opNames.filter((op) => operations[op].decompose && !covered.has(op))).toEqual([]);
  });

  it('find a kernel for every op that does not decompose', () => {
    const views = opNames.filter((op) => operations[op].view);
    const missing = opNames.filter(
      (op) =>
        !operations[op].decompose && !views.includes(op) && !(primitiveOps as readonly string[]).includes(op),
    );
    expect(missing).toEqual([]);
  });
});

/** The reference backend with some kernels replaced. */
function sabotaged(change: (kernels: Kernels) => Kernels): Backend {
  const inner = referenceBackend();
  const backend: Backend = Object.create(inner, { kernels: { value: change(inner.kernels) } });
  return backend;
}

function failedOps(backend: Backend, modes: ConformanceMode[], op: OpName | 'backend') {
  return runConformance(backend, { modes, filter: (one) => one.op === op });
}

/** Runs the right kernel and spoils its output afterwards. */
function spoiling<N extends OpName>(op: N, spoil: (out: Float32Array) => void) {
  return sabotaged((kernels) => ({
    ...kernels,
    [op]: (inputs: never, outputs: readonly never[], attributes: never) => {
      (kernels[op] as (i: never, o: readonly never[], a: never) => void)(inputs, outputs, attributes);
      const out = rawInPlace(outputs[0]);
      if (out instanceof Float32Array && out.length > 0) spoil(out);
    },
  }));
}

describe('conformance suite', () => {
  it('passes the reference backend and reports speeds on request', async () => {
    const report = await runConformance(referenceBackend(), {
      modes: ['values'],
      filter: ({ op }) => op === 'add',
    });
    expect(report.failed).toBe(0);
    expect(report.passed).toBeGreaterThan(20);
    expect(report.speeds).toEqual([]);
  });

  it('finds one wrong element', async () => {
    const report = await failedOps(
      spoiling('matmul', (out) => {
        out[out.length - 1] += 0.01;
      }),
      ['values'],
      'matmul',
    );
    expect(report.failed).toBeGreaterThan(20);
    expect(report.failures[0].message).toMatch(/output 0: 1 of \d+ elements of f32 .* differ; worst at \[/);
  });

  it('finds a NaN that should not be there', async () => {
    const report = await failedOps(
      spoiling('exp', (out) => {
        out[0] = Number.NaN;
      }),
      ['values'],
      'exp',
    );
    expect(report.failed).toBeGreaterThan(5);
  });

  it('finds a kernel that writes to its input', async () => {
    const backend = sabotaged((kernels) => ({
      ...kernels,
      neg: (inputs, outputs, attributes) => {
        kernels.neg!(inputs, outputs, attributes);
        const [x] = inputs;
        if (x.dtype === 'f32' && x.strides.every((stride) => stride > 0)) rawInPlace(x).fill(0);
      },
    }));
    const report = await failedOps(backend, ['values'], 'neg');
    expect(report.failures.some(({ message }) => message.startsWith('input 0'))).toBe(true);
  });

  it('finds wrong gradients', async () => {
    const backend = spoiling('swigluBackward', (out) => {
      out[0] *= 1.01;
    });
    const report = await failedOps(backend, ['gradients'], 'swiglu');
    expect(report.failures.some(({ message }) => message.includes('finite differences'))).toBe(true);
    expect(report.failures.some(({ message }) => message.includes('gradient 0: '))).toBe(true);
  });

  it('finds missing primitives, and does without fused kernels', async () => {
    const backend = sabotaged(({ cholesky, ...others }) => others);
    expect((await failedOps(backend, ['contract'], 'backend')).failures).toEqual([
      { mode: 'contract', case: 'every primitive has a kernel', message: 'no kernel for cholesky' },
    ]);
    expect((await failedOps(backend, ['values'], 'cholesky')).failures[0].message).toContain('BackendError');
    const withoutSoftmax = sabotaged(({ softmax, ...others }) => others);
    expect((await failedOps(withoutSoftmax, ['decomposed'], 'softmax')).failed).toBe(0);
  });

  it('skips dtypes that a backend lacks', async () => {
    const inner = referenceBackend();
    const capabilities = { ...inner.capabilities, dtypes: new Set(['f32', 'i32', 'bool']) };
    const backend: Backend = Object.create(inner, { capabilities: { value: capabilities } });
    const report = await failedOps(backend, ['values'], 'matmul');
    expect(report.failed).toBe(0);
    expect(report.skipped).toBeGreaterThan(5);
  });
});
