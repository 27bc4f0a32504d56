import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, stat } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { basename, join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';
import { machine } from '../shared/result.js';

/** A measured part, and when that was. */
export interface Stored<T> {
  readonly measuredAt: string;
  readonly machine: string;
  /** Of the last minute, before and after: more than the threads means that others were at work. */
  readonly loadAverage: readonly [before: number, after: number];
  readonly data: T;
}

export interface Dependencies {
  /** Packages of the repository whose sources count. */
  readonly packages: readonly string[];
  readonly sources: readonly string[];
  /** Large files: name, size and first 64 KiB count. */
  readonly models: readonly string[];
  readonly settings: unknown;
}

/**
 * What was measured with the same sources, models, settings and machine, else `measure` anew.
 */
export async function measuredOnce<T>(
  root: string,
  part: string,
  dependencies: Dependencies,
  { fresh, measure }: { readonly fresh: boolean; readonly measure: () => Promise<T> },
): Promise<Stored<T> & { readonly cached: boolean }> {
  const folder = join(root, '.cache/claims');
  const file = join(folder, `${part}-${await hashOf(root, dependencies)}.json`);
  const kept = fresh ? null : await readFile(file, 'utf8').catch(() => null);
  if (kept !== null) return { ...(JSON.parse(kept) as Stored<T>), cached: true };
  const before = loadavg()[0];
  const data = await measure();
  const stored: Stored<T> = {
    measuredAt: new Date().toISOString(),
    machine: machine(),
    loadAverage: [before, loadavg()[0]],
    data,
  };
  await mkdir(folder, { recursive: true });
  await saveFile(file, `${JSON.stringify(stored, null, 2)}\n`);
  return { ...stored, cached: false };
}

async function hashOf(root: string, dependencies: Dependencies): Promise<string> {
  const { packages, sources, models, settings } = dependencies;
  const hash = createHash('sha256').update(JSON.stringify([settings, machine()]));
  for (const folder of packages.flatMap((name) => [`packages/${name}/src`, `packages/${name}/native`])) {
    const entries = await readdir(join(root, folder), { recursive: true }).catch(() => []);
    const files = entries.filter((name) => /(?<!\.test)\.(ts|cpp|h|inc)$/.test(name)).sort();
    for (const file of files) hash.update(file).update(await readFile(join(root, folder, file)));
  }
  for (const file of sources) hash.update(await readFile(file));
  for (const file of models)
    hash.update(`${basename(file)} ${(await stat(file)).size}`).update(await firstBytes(file));
  return hash.digest('hex').slice(0, 12);
}

async function firstBytes(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(65_536), 0, 65_536, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
