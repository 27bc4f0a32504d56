#!/usr/bin/env node
/**
 * Writes the package with the addon of this platform, to be published beside @frugal/backend-cpu:
 *
 *   node build.mjs && node platform-package.mjs FOLDER
 *
 * It holds nothing else: npm installs it where its `os`, `cpu` and `libc` fit, without running a script.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const addon = join(root, 'native/build/frugal-cpu.node');

/** The name that src/addon.ts looks for. */
export function platformPackageName() {
  return `@frugal/backend-cpu-${process.platform}-${process.arch}`;
}

function manifest() {
  const { version, license, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return {
    name: platformPackageName(),
    version,
    description: `Native kernels of @frugal/backend-cpu for ${process.platform} on ${process.arch}`,
    license,
    engines,
    os: [process.platform],
    cpu: [process.arch],
    ...(process.platform === 'linux' ? { libc: ['glibc'] } : {}),
    main: 'frugal-cpu.node',
    files: ['frugal-cpu.node'],
    publishConfig: { access: 'public' },
  };
}

/** Makes the package in `folder`. @throws Error when the addon has not been built */
export function writePlatformPackage(folder) {
  if (!existsSync(addon))
    throw new Error(
      `[platform-package] no addon: got no file ${addon}. Run build.mjs with a compiler first.`,
    );
  mkdirSync(folder, { recursive: true });
  const target = join(folder, 'frugal-cpu.node');
  copyFileSync(addon, target);
  // Without `strip` it is only larger.
  spawnSync('strip', [...(process.platform === 'darwin' ? ['-x'] : ['--strip-unneeded']), target]);
  copyFileSync(join(root, '../../LICENSE'), join(folder, 'LICENSE'));
  const readme = `# ${platformPackageName()}\n\nThe native kernels of \`@frugal/backend-cpu\` for this platform, which finds them by itself.\n`;
  writeFileSync(join(folder, 'README.md'), readme);
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder] = process.argv.slice(2);
  if (!folder) {
    console.error('usage: node platform-package.mjs FOLDER');
    process.exit(2);
  }
  writePlatformPackage(folder);
  console.log(`${platformPackageName()} in ${folder}`);
}
