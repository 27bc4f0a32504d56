import { cpuBackend } from '@frugal/backend-cpu';
import { checkingModes, describeConformance } from '@frugal/tensor-core/conformance';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

// Gradients and decompositions are built from the same kernels: once per instruction set is enough.
for (const isa of testedIsas) {
  for (const threads of [1, 2, 3]) {
    const modes = threads === 1 ? checkingModes : (['values'] as const);
    // Without a minimum, all threads take part in the suite's small cases.
    const open = () => cpuBackend({ isa, threads, minimumWork: 0 });
    describeConformance(open, { describe, it, expect }, { modes, name: `${isa}, ${threads} threads` });
  }
}
