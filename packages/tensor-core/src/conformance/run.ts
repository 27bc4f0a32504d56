import type { Backend } from '../backend.js';
import { memoryUsage } from '../memory.js';
import type { OpName } from '../ops/specs.js';
import type { ConformanceCase } from './case.js';
import { conformanceCases } from './cases/index.js';
import { checkContract, contractChecks } from './contract.js';
import { whySkipped } from './evaluate.js';
import { checkDecomposed, checkGradients, checkValues, hasDecomposition, hasGradients } from './modes.js';
import { measureSpeed, type SpeedResult, speedCases } from './speed.js';
import { suited } from './suited.js';

/**
 * contract: memory, reading, views, repeatability. values: kernels against the reference. decomposed: the same
 * without fused kernels. gradients: against the reference's and finite differences. speed: only measures.
 */
export type ConformanceMode = 'contract' | 'values' | 'decomposed' | 'gradients' | 'speed';

export interface CaseResult {
  readonly mode: ConformanceMode;
  readonly op: OpName | 'backend';
  readonly case: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** What is wrong, or why it was skipped. */
  readonly message?: string;
  readonly speed?: SpeedResult;
}

export interface ConformanceReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly failures: readonly {
    readonly mode: ConformanceMode;
    readonly case: string;
    readonly message: string;
  }[];
  readonly speeds: readonly SpeedResult[];
}

export interface ConformanceOptions {
  /** Default: all but speed. */
  readonly modes?: readonly ConformanceMode[];
  readonly filter?: (conformanceCase: { readonly op: OpName | 'backend'; readonly name: string }) => boolean;
  readonly onCase?: (result: CaseResult) => void;
}

export const checkingModes: readonly ConformanceMode[] = ['contract', 'values', 'decomposed', 'gradients'];

/** One thing to run. */
export interface ConformanceTask {
  readonly mode: ConformanceMode;
  readonly op: OpName | 'backend';
  readonly name: string;
  run(backend: Backend): Promise<CaseResult>;
}

/** All tasks of a mode; the backend is not needed to list them. */
export function conformanceTasks(mode: ConformanceMode): ConformanceTask[] {
  switch (mode) {
    case 'contract':
      return contractChecks.map((check) =>
        task(mode, 'backend', check.name, (backend) => checkContract(check, backend)),
      );
    case 'values':
      return conformanceCases.map((one) => caseTask(mode, one, checkValues));
    case 'decomposed':
      return conformanceCases.filter(hasDecomposition).map((one) => caseTask(mode, one, checkDecomposed));
    case 'gradients':
      return conformanceCases.filter(hasGradients).map((one) => caseTask(mode, one, checkGradients));
    case 'speed':
      return speedCases.map(speedTask);
  }
}

function caseTask(
  mode: ConformanceMode,
  one: ConformanceCase,
  check: (one: ConformanceCase, backend: Backend) => Promise<string[]>,
): ConformanceTask {
  return task(
    mode,
    one.op,
    one.name,
    (backend) => check(suited(one, backend), backend),
    (backend) => whySkipped(one, backend),
  );
}

function task(
  mode: ConformanceMode,
  op: OpName | 'backend',
  name: string,
  check: (backend: Backend) => Promise<string[]>,
  skip: (backend: Backend) => string | null = () => null,
): ConformanceTask {
  const run = async (backend: Backend): Promise<CaseResult> => {
    const reason = skip(backend);
    if (reason) return { mode, op, case: name, status: 'skipped', message: reason };
    const findings = await guarded(() => check(backend));
    if (findings.length === 0) return { mode, op, case: name, status: 'passed' };
    return { mode, op, case: name, status: 'failed', message: findings.join('; ') };
  };
  return { mode, op, name, run };
}

/** Errors and leaks are findings too. */
async function guarded(check: () => Promise<string[]>): Promise<string[]> {
  const before = memoryUsage().storages;
  try {
    const findings = await check();
    const left = memoryUsage().storages - before;
    return left === 0 ? findings : [...findings, `${left} storages stayed alive`];
  } catch (error) {
    return [`threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`];
  }
}

function speedTask(one: ConformanceCase): ConformanceTask {
  const run = async (backend: Backend): Promise<CaseResult> => {
    const result = { mode: 'speed', op: one.op, case: one.name } as const;
    const reason = whySkipped(one, backend);
    if (reason) return { ...result, status: 'skipped', message: reason };
    return { ...result, status: 'passed', speed: await measureSpeed(one, backend) };
  };
  return { mode: 'speed', op: one.op, name: one.name, run };
}

/** Proves (or disproves) a backend; see {@link ConformanceMode} for what is checked. */
export async function runConformance(
  backend: Backend,
  options: ConformanceOptions = {},
): Promise<ConformanceReport> {
  const { modes = checkingModes, filter = () => true, onCase } = options;
  const results: CaseResult[] = [];
  for (const mode of modes) {
    for (const one of conformanceTasks(mode).filter(filter)) {
      const result = await one.run(backend);
      results.push(result);
      onCase?.(result);
    }
  }
  const count = (status: CaseResult['status']) => results.filter((result) => result.status === status).length;
  return {
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    failures: results.flatMap(({ mode, status, message = '', case: name }) =>
      status === 'failed' ? [{ mode, case: name, message }] : [],
    ),
    speeds: results.flatMap(({ speed }) => (speed ? [speed] : [])),
  };
}
