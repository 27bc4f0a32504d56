import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRunStore, type RunStore } from '@frugal/compress';
import { onTestFinished } from 'vitest';

/** A run that is opened, and later resumed, in a folder that goes with the test. */
export async function runStores(): Promise<{
  open(resume: boolean): Promise<RunStore>;
  finishedParts(): Promise<string[]>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-run-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return {
    open: (resume) => openRunStore(folder, 'run', { resume }),
    finishedParts: async () =>
      (await readdir(folder)).flatMap((name) => /^(.*)\.safetensors$/.exec(name)?.[1] ?? []),
  };
}
