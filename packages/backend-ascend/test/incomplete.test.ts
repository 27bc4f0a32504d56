import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ascendBackend } from '@frugal/backend-ascend';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { needsStub, stubFolder } from './ascend.js';

// A file, and so a process, of its own: what a half of CANN has loaded stays loaded.
needsStub();

const folder = mkdtempSync(join(tmpdir(), 'frugal-ascend-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

it.each([
  ['cann-8', 'libnnopbase.so'],
  ['cann-8', 'libopapi.so'],
  ['cann-9', 'libnnopbase.so'],
])('says that %s without %s is not whole', (layout, library) => {
  const home = mkdtempSync(join(folder, 'part-'));
  cpSync(join(stubFolder, layout), home, { recursive: true });
  rmSync(join(home, 'lib64', library));
  vi.stubEnv('ASCEND_HOME_PATH', home);
  const message = new RegExp(`${library} cannot be loaded: .*Install the toolkit and the ops package`);
  expect(() => ascendBackend({ device: 1 })).toThrow(message);
});

it('tells a driver that is missing from libraries that set_env.sh makes known', () => {
  for (const [needed, hint] of [
    ['libascend_hal.so', /The driver is missing: install the NPU driver and firmware/],
    ['libruntime.so', /source .*set_env.sh/],
  ] as const) {
    const home = mkdtempSync(join(folder, 'needs-'));
    mkdirSync(join(home, 'lib64'));
    // A library that needs another one, which the system's loader then does not find.
    const link = ['-shared', '-fPIC', '-x', 'c'];
    const compile = (out: string, ...more: string[]) =>
      execFileSync(process.env.CXX || 'g++', [
        ...link,
        '/dev/null',
        '-Wl,--no-as-needed',
        ...more,
        '-o',
        out,
      ]);
    compile(join(home, needed), `-Wl,-soname,${needed}`);
    compile(join(home, 'lib64', 'libascendcl.so'), `-L${home}`, '-x', 'none', `-l:${needed}`);
    vi.stubEnv('ASCEND_HOME_PATH', home);
    expect(() => ascendBackend({ device: 1 })).toThrow(hint);
  }
});
