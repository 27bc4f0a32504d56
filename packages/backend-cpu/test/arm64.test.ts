import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

/** Exit code of native.sh where a tool is missing. */
const MISSING = 75;

/** Output and exit code of a shell script. */
function runScript(name: string, ...options: string[]): Promise<{ code: number | null; output: string }> {
  const script = fileURLToPath(new URL(name, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn('bash', [script, ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

// Compiles all kernels the first time, which takes a core some minutes; then only what changed.
it('the NEON kernels agree with plain definitions, under qemu-user', async (context) => {
  if (process.platform !== 'linux') return context.skip('the cross compiler and qemu-user need Linux');
  const { code, output } = await runScript('native.sh', 'arm64');
  if (code === MISSING) return context.skip(output.trim());
  expect(output).toMatch(/, 0 failed/);
  expect(code, output).toBe(0);
}, 1_800_000);
