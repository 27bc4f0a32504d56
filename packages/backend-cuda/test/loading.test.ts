import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CudaBackendUnavailableError,
  cudaBackend,
  DeviceMemoryError,
  prepareTensorFlow,
} from '@frugal/backend-cuda';
import { fill, scope, tensor } from '@frugal/tensor-core';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { needsTensorFlow, openBackend } from './tensorflow.js';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-cuda-'));
  return () => rm(folder, { recursive: true });
});
afterEach(() => vi.unstubAllEnvs());

function caught(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

/** The backend anew, as in a fresh process. */
async function freshly() {
  vi.resetModules();
  return import('@frugal/backend-cuda');
}

describe('without what is needed', () => {
  it('says where it looked and what to run', async () => {
    vi.stubEnv('FRUGAL_TENSORFLOW', join(folder, 'nothing'));
    const { cudaBackend } = await freshly();
    expect(() => cudaBackend()).toThrow(
      /TensorFlow is not prepared: got nothing at .*nothing.*frugal doctor --fix cuda/,
    );
  });

  it('says why a library cannot be loaded', async () => {
    const file = join(folder, 'tfjs_binding.node');
    await writeFile(file, 'not a library');
    vi.stubEnv('FRUGAL_TENSORFLOW', file);
    const { cudaBackend } = await freshly();
    expect(() => cudaBackend()).toThrow(/TensorFlow cannot be loaded: got .*tfjs_binding.node.*--fix cuda/);
  });

  it.each([
    [
      'a binding of something else',
      'module.exports = {};',
      /this is not the binding of tfjs-node-gpu 4.22: got .*other-\d+.cjs/,
    ],
    [
      'a TensorFlow that is too old',
      "module.exports = { TF_Version: '2.9.1', executeOp() {} };",
      /TensorFlow is too old: got 2.9.1; expected 2.18 or newer.*pip install/,
    ],
  ])('refuses %s', async (_, source, message) => {
    const file = join(folder, `other-${source.length}.cjs`);
    await writeFile(file, source);
    vi.stubEnv('FRUGAL_TENSORFLOW', file);
    const { cudaBackend } = await freshly();
    expect(() => cudaBackend()).toThrow(message);
  });

  it('prepares nothing from an incomplete package', () => {
    const prepare = () => prepareTensorFlow({ tensorflow: folder, tfjs: folder, out: folder });
    expect(prepare).toThrow(CudaBackendUnavailableError);
    expect(prepare).toThrow(/incomplete: got .*libtensorflow_cc.so.2/);
  });
});

describe('with TensorFlow', () => {
  needsTensorFlow();

  it('does not fall back to the processor silently', (context) => {
    if (!openBackend().description.includes('no GPU')) context.skip('there is a GPU');
    expect(() => cudaBackend({ allowCpu: false })).toThrow(
      /TensorFlow would compute on the processor: got .+/,
    );
    vi.stubEnv('FRUGAL_CUDA_ALLOW_CPU', '1');
    expect(cudaBackend()).toBe(openBackend());
  });

  it('names sizes and what to lower when memory is used up, and loses nothing', async () => {
    const backend = openBackend();
    const kept = tensor([1, 2, 3], { backend });
    const before = backend.handles;
    const tooMuch = () => scope(() => fill({ shape: [2 ** 22, 2 ** 22], dtype: 'f32' }, 1, backend));
    // Once only: TensorFlow waits ten seconds for memory.
    const error = caught(tooMuch);
    expect(error).toBeInstanceOf(DeviceMemoryError);
    expect(error.message).toMatch(/no room for .*\[4194304,4194304\].*Lower the tokens per step/);
    expect(backend.handles - before).toBeLessThan(4); // constants
    expect([...(await kept.toFloat32())]).toEqual([1, 2, 3]);
    kept.dispose();
  });

  it('names an index that does not exist', () => {
    const backend = openBackend();
    scope(() => {
      const table = tensor([1, 2, 3], { backend });
      const gather = () => table.gatherRows(tensor(Int32Array.of(5), { backend }));
      expect(gather).toThrow(/GatherV2.*\b5 is not in \[0, 3\)/);
    });
  });
});
