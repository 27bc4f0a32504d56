import { afterEach, describe, expect, it, vi } from 'vitest';
import { needsNative } from './native.js';

const saved = { ...process.env };

/** The package as a new process with these environment variables would see it. */
async function freshPackage(environment: Record<string, string>) {
  Object.assign(process.env, environment);
  vi.resetModules();
  return import('@frugal/backend-cpu');
}

afterEach(() => {
  process.env = { ...saved };
  vi.restoreAllMocks();
});

describe('without native code', () => {
  it('says why and what to do', async () => {
    const { cpuBackend, CpuBackendUnavailableError } = await freshPackage({ FRUGAL_NATIVE: 'off' });
    expect(() => cpuBackend()).toThrow(CpuBackendUnavailableError);
    expect(() => cpuBackend()).toThrow(
      '[backend-cpu] native code is switched off: got FRUGAL_NATIVE=off. Unset FRUGAL_NATIVE',
    );
  });

  it('falls back to the reference backend with one line', async () => {
    const { defaultBackend } = await freshPackage({ FRUGAL_NATIVE: 'off' });
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    expect(defaultBackend().name).toBe('reference');
    expect(defaultBackend().name).toBe('reference');
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0][0]).toMatch(/^\[backend-cpu\] .*reference backend runs/);
  });
});

describe('with native code', () => {
  needsNative();

  it('describes processor, instruction set and threads', async () => {
    const { cpuBackend } = await freshPackage({});
    const backend = cpuBackend({ threads: 2, isa: 'scalar' });
    expect(backend.description).toMatch(/^cpu: .+, scalar, 2 threads$/);
    expect(cpuBackend({ threads: 2, isa: 'scalar' })).toBe(backend);
  });

  it('takes FRUGAL_THREADS and FRUGAL_CPU_ISA', async () => {
    const { loadCpuBackend } = await freshPackage({ FRUGAL_THREADS: '3', FRUGAL_CPU_ISA: 'scalar' });
    expect(await loadCpuBackend()).toMatchObject({ threads: 3, isa: 'scalar' });
  });

  it.each([
    [
      { FRUGAL_THREADS: 'many' },
      '[FRUGAL_THREADS] not a number of threads: got NaN; expected an integer from 1 to 1024.',
    ],
    [{ FRUGAL_CPU_ISA: 'mmx' }, '[FRUGAL_CPU_ISA] unknown instruction set: got mmx; expected scalar'],
  ])('refuses %o', async (environment, message) => {
    const { cpuBackend } = await freshPackage(environment);
    expect(() => cpuBackend()).toThrow(message);
  });
});
