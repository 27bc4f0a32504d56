import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll } from 'vitest';

/** A file of this folder in plain JavaScript: a process of its own cannot read TypeScript. Gone after the tests. */
export function compiled(file: string): URL {
  const { outputFiles } = buildSync({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    conditions: ['@frugal/source'],
  });
  const folder = mkdtempSync(join(tmpdir(), 'frugal-serve-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, `${file.replace(/\W+/g, '-')}.mjs`);
  writeFileSync(path, outputFiles[0].text);
  return pathToFileURL(path);
}
