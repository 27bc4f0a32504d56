import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository, from the sources as from the built file. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The paths that a script such as `fetch-icd10.mjs` prints; null, with the reason handed to `tell`, when they cannot be had. */
export function fetchFiles(script: string, tell: (reason: string) => void): string[] | null {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts', script)], {
    encoding: 'utf8',
  });
  if (status === 0) return stdout.trim().split('\n');
  tell(stderr.trim());
  return null;
}
