import { describe, expect, it } from 'vitest';
import { expectNoViolations, needsStub, openBackend, stubControl } from './ascend.js';
import { checks, distance } from './fused-checks.js';

/** Each check gives the numbers of the reference, by the kernels that this CANN has: `expected` of the versions of each. */
export function describeFused(expected: (versions: readonly string[]) => string | null): void {
  needsStub();
  expectNoViolations();
  describe('fused ops', () => {
    it.each(checks.map((check) => [`${check.op}: ${check.name}`, check] as const))('%s', async (_, check) => {
      const backend = openBackend();
      const { calls } = stubControl();
      const names = check.kernels.flat();
      const before = names.map((name) => calls(`aclnn${name}`));
      expect(await distance(check, backend)).toBeLessThan(check.tolerance);
      const ran = names.filter((name, i) => calls(`aclnn${name}`) > before[i]);
      const wanted = check.kernels.map(expected).filter((name) => name !== null);
      expect(ran.sort()).toEqual([...wanted].sort());
    });
  });
}
