import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { expect, it } from 'vitest';

it('runs in browsers: the entry for them uses no module of Node', () => {
  const { metafile } = buildSync({
    entryPoints: [fileURLToPath(new URL('../src/browser.ts', import.meta.url))],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    metafile: true,
    external: ['node:*'],
    outdir: 'none',
  });
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports.map(({ path }) => path));
  expect(imports.length).toBeGreaterThan(20);
  expect(imports.filter((path) => path.startsWith('node:'))).toEqual([]);
});
