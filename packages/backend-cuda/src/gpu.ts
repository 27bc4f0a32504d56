import { spawnSync } from 'node:child_process';

/** A GPU as the driver describes it. */
export interface Gpu {
  readonly name: string;
  readonly driver: string;
  /** `8.9`; NaN where an old driver does not tell. */
  readonly capability: number;
  readonly memoryBytes: number;
  readonly freeBytes: number;
}

const fields = ['name', 'driver_version', 'compute_cap', 'memory.total', 'memory.free'];

/** Reads what nvidia-smi prints for `--query-gpu` as CSV without header and units; memory is in MiB. */
export function parseGpus(csv: string): Gpu[] {
  return csv
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((row) => row.length === fields.length)
    .map(([name, driver, capability, total, free]) => ({
      name,
      driver,
      capability: Number(capability),
      memoryBytes: Number(total) * 2 ** 20,
      freeBytes: Number(free) * 2 ** 20,
    }));
}

/** The GPUs of this machine, or why the driver shows none. */
export function findGpus(): { readonly gpus: readonly Gpu[]; readonly why: string } {
  const asked = [`--query-gpu=${fields.join()}`, '--format=csv,noheader,nounits'];
  const { status, stdout, stderr, error } = spawnSync('nvidia-smi', asked, {
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return { gpus: [], why: missing ? 'no NVIDIA driver (there is no nvidia-smi)' : error.message };
  }
  const gpus = status === 0 ? parseGpus(stdout) : [];
  const said = `${stdout}${stderr}`.trim().split('\n')[0];
  return { gpus, why: gpus.length > 0 ? '' : `nvidia-smi finds no GPU${said ? ` (${said})` : ''}` };
}
