import './prepared.js';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { locateBinding } from '@frugal/backend-cuda';
import { vi } from 'vitest';

/** Where the TensorFlow lies that {@link pretendGpu} needs; null without. */
export const realBinding = locateBinding()?.binding ?? null;

/**
 * Makes this process see a GPU: a driver that tells of one, and a TensorFlow that says it uses it and computes on the processor.
 * Takes the place of the binding that was found before; call the result to end it.
 */
export function pretendGpu(name: string, capability: string): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-gpu-'));
  const driver = join(folder, 'nvidia-smi');
  writeFileSync(driver, `#!/bin/sh\necho '${name}, 535.183.01, ${capability}, 16384, 16000'\n`);
  chmodSync(driver, 0o755);
  const binding = join(folder, 'binding.cjs');
  const real = JSON.stringify(realBinding);
  writeFileSync(
    binding,
    `const real = require(${real});
module.exports = new Proxy({}, { get: (_, key) => (key === 'isUsingGpuDevice' ? () => true : real[key]) });
`,
  );
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env.PATH}`);
  vi.stubEnv('FRUGAL_TENSORFLOW', binding);
  return () => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  };
}
