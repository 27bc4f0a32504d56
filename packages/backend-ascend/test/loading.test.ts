import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  AscendDeviceError,
  AscendMemoryError,
  AscendUnavailableError,
  ascendBackend,
  findInstallation,
} from '@frugal/backend-ascend';
import { fill, scope, tensor } from '@frugal/tensor-core';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { needsStub, openBackend, stubControl } from './ascend.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'frugal-ascend-'));
  mkdirSync(join(folder, 'lib64'));
  return () => rmSync(folder, { recursive: true });
});
afterEach(() => vi.unstubAllEnvs());

describe('without what is needed', () => {
  it('says where it looked and what to run', () => {
    vi.stubEnv('ASCEND_HOME_PATH', join(folder, 'nothing'));
    vi.stubEnv('ASCEND_TOOLKIT_HOME', '');
    if (findInstallation()) return; // this machine has CANN
    expect(() => ascendBackend({ device: 1 })).toThrow(AscendUnavailableError);
    expect(() => ascendBackend({ device: 1 })).toThrow(/CANN is not found: got .*nothing.*source set_env.sh/);
  });

  it('says which library cannot be loaded, and why', () => {
    writeFileSync(join(folder, 'lib64', 'libascendcl.so'), 'not a library');
    vi.stubEnv('ASCEND_HOME_PATH', folder);
    expect(findInstallation()?.home).toBe(folder);
    expect(() => ascendBackend({ device: 1 })).toThrow(/libascendcl.so cannot be loaded: got .+/);
  });
});

describe('with the stub', () => {
  needsStub();

  it.each(['x', '-1', '1.5'])('refuses %s as a device', (device) => {
    vi.stubEnv('FRUGAL_ASCEND_DEVICE', device);
    expect(() => ascendBackend()).toThrow(/this is no number of a device: got (x|-1|1.5); expected 0, 1/);
  });

  it('names a device that does not exist, and drives one only', () => {
    expect(() => ascendBackend({ device: 5 })).toThrow(
      /there is no device of this number: got device 5.*107001/,
    );
  });

  it('names sizes when memory is used up, and loses nothing', async () => {
    const backend = openBackend();
    const kept = tensor([1, 2, 3], { backend });
    stubControl().limitMemory(2 ** 20);
    const large = () => scope(() => fill({ shape: [2 ** 20], dtype: 'f32' }, 1, backend));
    expect(large).toThrow(AscendMemoryError);
    expect(large).toThrow(/no room for 4194304 bytes.*Lower the tokens per step/);
    stubControl().limitMemory(0);
    expect([...(await kept.toFloat32())]).toEqual([1, 2, 3]);
    expect(stubControl().violations()).toBe('');
    kept.dispose();
  });

  it('tells of a kernel that failed when somebody waits', async () => {
    const x = tensor([1, 2, 3], { backend: openBackend() });
    stubControl().failOp('aclnnExp', 0);
    const y = x.exp();
    await expect(y.toFloat32()).rejects.toThrow(AscendDeviceError);
    await expect(y.toFloat32()).rejects.toThrow(/507015.*resume from the last checkpoint/);
  });
});
