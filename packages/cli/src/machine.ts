import { arch, cpus, platform, totalmem } from 'node:os';

/** What a measurement depends on beside the code. */
export interface Machine {
  readonly cpu: string;
  readonly logicalCores: number;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
}

export function describeMachine(): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    logicalCores: cores.length,
    memoryBytes: totalmem(),
    system: `${platform()} ${arch()}`,
    node: process.version,
  };
}
