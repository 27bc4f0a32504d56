import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What lies in a `node_modules`: bytes by package, and every file. */
export function measureInstall(folder: string): { packages: Map<string, number>; files: string[] } {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  const packages = new Map<string, number>();
  for (const file of files) {
    const parts = file.split(/[\\/]/);
    const name = parts.slice(0, parts[0].startsWith('@') ? 2 : 1).join('/');
    packages.set(name, (packages.get(name) ?? 0) + statSync(join(folder, file)).size);
  }
  return { packages, files };
}
