import { existsSync, readFileSync } from 'node:fs';
import type { Options } from 'tsup';

interface Manifest {
  exports?: Record<string, string | Record<string, string>>;
  bin?: Record<string, string>;
}

/**
 * The build of every package: its entries are the `@frugal/source` conditions of its `exports` (and `src/main.ts` of
 * a package with a command), so package.json stays the only list of entries. Declarations come from build-types.mjs.
 */
const manifest: Manifest = JSON.parse(readFileSync('package.json', 'utf8'));
const entries = Object.values(manifest.exports ?? {}).flatMap((target) =>
  typeof target === 'string' ? [] : [target['@frugal/source']],
);
if (manifest.bin && existsSync('src/main.ts')) entries.push('src/main.ts');

export const packageBuild: Options = {
  entry: entries.map((entry) => entry.replace(/^\.\//, '')),
  format: 'esm',
  target: 'node20',
  platform: 'neutral',
  external: [/^node:/],
  sourcemap: true,
  splitting: true,
  dts: false,
  clean: ['!**/*.d.ts', '!**/*.node'],
  removeNodeProtocol: false,
  silent: true,
};
