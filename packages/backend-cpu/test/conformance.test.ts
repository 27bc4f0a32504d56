import { describe, expect, it } from 'vitest';
import { describeConformance } from '@frugal/tensor-core/conformance';
import { availableIsas, cpuBackend } from '@frugal/backend-cpu';

for (const isa of availableIsas()) {
  for (const threads of [1, 2, 3]) {
    const open = () => cpuBackend({ isa, threads, minimumWork: 0 });
    const modes =  threads === 1 ? undefined : ['values'] as const;
    describeConformance(open, { describe, it, expect }, { name: `${isa}, ${threads} threads`, ...(modes && {modes}) });
  }
}
