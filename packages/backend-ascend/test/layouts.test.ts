import { join } from 'node:path';
import { ascendBackend, findInstallation } from '@frugal/backend-ascend';
import { Random, scope, tensor } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { needsStub, stubFolder } from './ascend.js';

needsStub();

// In a process of its own, as every test file: two layouts must never be loaded into one.
it('loads the split libraries of CANN 9 and computes with them; closing leaks nothing', async () => {
  process.env.ASCEND_HOME_PATH = join(stubFolder, 'cann-9');
  expect(findInstallation()?.libraries).toBe(join(stubFolder, 'cann-9', 'lib64'));
  const backend = ascendBackend();
  expect(backend.description).toBe('Ascend910B1, device 0, ACL 1.13.0');
  const result = scope(() => {
    const x = new Random(1).normal([4, 8], { backend });
    return x.matmul(x.transpose()).softmax().sum(1);
  });
  for (const sum of await result.toFloat32()) expect(sum).toBeCloseTo(1, 5);
  result.dispose();
  expect(backend.memory.used).toBe(0);
  const left = tensor([1], { backend });
  left.dispose();
  backend.close();
  const { createRequire } = await import('node:module');
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load(join(stubFolder, 'cann-9', 'lib64', 'libascendcl.so'));
  expect(library.func('frugalStubViolations', 'const char *', [])()).toBe('');
});
