import { availableIsas, CpuBackendUnavailableError, type Isa } from '@frugal/backend-cpu';
import { beforeEach } from 'vitest';

function load(): { readonly isas: readonly Isa[]; readonly reason: string } {
  try {
    return { isas: availableIsas(), reason: '' };
  } catch (error) {
    if (error instanceof CpuBackendUnavailableError) return { isas: [], reason: error.message };
    throw error;
  }
}

const { isas, reason } = load();

/** Levels to test; one name to hang the reason on when there is no addon. */
export const testedIsas: readonly Isa[] = isas.length > 0 ? isas : ['scalar'];

/** Skips every test of the file, with the reason, when the native addon cannot be loaded. */
export function needsNative(): void {
  beforeEach((context) => {
    if (reason) context.skip(reason);
  });
}
