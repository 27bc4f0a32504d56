import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type AscendBackend, ascendBackend } from '@frugal/backend-ascend';
import { afterAll, beforeEach, expect } from 'vitest';
import { buildStub } from './stub.js';

const { folder, reason } = buildStub();
if (folder) process.env.ASCEND_HOME_PATH = join(folder, 'cann-8');

/** CANN 8 has its ops in one library, CANN 9 in several. Once per file, before the backend is opened. */
export function useLayout(layout: 'cann-9' | 'cann-plain'): void {
  if (folder) process.env.ASCEND_HOME_PATH = join(folder, layout);
}

/** The folders of the stub, `cann-8`, `cann-9` and `cann-plain`; only in tests that {@link needsStub}. */
export const stubFolder = folder ?? '';

/** Skips every test of the file, with the reason, when the stub could not be compiled. */
export function needsStub(): void {
  beforeEach((context) => {
    if (!folder) context.skip(reason);
  });
}

export function openBackend(): AscendBackend {
  if (!folder) throw new Error(reason);
  return ascendBackend();
}

interface Control {
  /** Rules that were broken, one a line. */
  violations(): string;
  forget(): void;
  /** The next op of this name fails with a status; 0: a kernel that fails. */
  failOp(name: string, status: number): void;
  /** The device refuses every call of an op of this name with a status, before it is enqueued; others work. */
  refuseOp(name: string, status: number): void;
  /** Streams that failed work again, and ops that were refused, as in a new process. */
  repair(): void;
  /** How often an op was enqueued. */
  calls(name: string): number;
  limitMemory(bytes: number): void;
}

/** The levers of the stub. */
export function stubControl(): Control {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load(join(process.env.ASCEND_HOME_PATH as string, 'lib64', 'libascendcl.so'));
  return {
    violations: library.func('frugalStubViolations', 'const char *', []),
    forget: library.func('frugalStubForget', 'void', []),
    failOp: library.func('frugalStubFailOp', 'void', ['const char *', 'int']),
    refuseOp: library.func('frugalStubRefuseOp', 'void', ['const char *', 'int']),
    repair: library.func('frugalStubRepair', 'void', []),
    calls: library.func('frugalStubCalls', 'uint64_t', ['const char *']),
    limitMemory: library.func('frugalStubLimitMemory', 'void', ['uint64_t']),
  };
}

/** After all tests of the file: no rule was broken, and closing leaks nothing. */
export function expectNoViolations(): void {
  afterAll(() => {
    if (!folder) return;
    expect(stubControl().violations()).toBe('');
  });
}

/** Ops on packed weights: many cases, in a file of their own. */
export function isPacked(op: string): boolean {
  return op === 'unpack' || op.startsWith('packed');
}
