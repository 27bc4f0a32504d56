import type { Backend } from '../backend.js';
import {
  type CaseResult,
  type ConformanceMode,
  type ConformanceTask,
  checkingModes,
  conformanceTasks,
} from './run.js';

/** What the suite needs of a test runner; vitest and Jest fit. */
export interface TestRunner {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>): void;
  expect(value: unknown): { toEqual(expected: unknown): void };
}

export interface DescribeOptions {
  /** Default: all but speed. */
  readonly modes?: readonly ConformanceMode[];
  readonly filter?: (task: Pick<ConformanceTask, 'op' | 'name'>) => boolean;
  /** Heading; default: the modes alone. */
  readonly name?: string;
}

/** Makes one test per mode and op. The backend may be given as a function that opens it when the first test runs. */
export function describeConformance(
  backend: Backend | (() => Backend | Promise<Backend>),
  { describe, it, expect }: TestRunner,
  { modes = checkingModes, filter = () => true, name = 'conformance' }: DescribeOptions = {},
): void {
  let opened: Promise<Backend> | null = null;
  const open = () => (opened ??= Promise.resolve(typeof backend === 'function' ? backend() : backend));
  for (const mode of modes) {
    describe(`${name}: ${mode}`, () => {
      for (const [op, tasks] of groupByOp(conformanceTasks(mode).filter(filter))) {
        it(`${op} (${tasks.length} cases)`, async () => {
          const results: CaseResult[] = [];
          for (const task of tasks) results.push(await task.run(await open()));
          const failures = results.filter(({ status }) => status === 'failed');
          expect(failures.map((failure) => `${failure.case}: ${failure.message}`)).toEqual([]);
        });
      }
    });
  }
}

function groupByOp(tasks: readonly ConformanceTask[]): Map<string, ConformanceTask[]> {
  const groups = new Map<string, ConformanceTask[]>();
  for (const task of tasks) groups.set(task.op, [...(groups.get(task.op) ?? []), task]);
  return groups;
}
