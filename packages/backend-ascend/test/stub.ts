import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const sources = fileURLToPath(new URL('../stub', import.meta.url));
const cache = fileURLToPath(new URL('../../../.cache/ascend-stub', import.meta.url));

/**
 * The folder with the stub's libraries, compiled when its sources changed; null, with the reason, without a compiler.
 * FRUGAL_ASCEND_STUB names one that was built before. Several test files may build at once: the first one that is done counts.
 */
export function buildStub(): { readonly folder: string | null; readonly reason: string } {
  const given = process.env.FRUGAL_ASCEND_STUB;
  if (given) return { folder: given, reason: '' };
  const hash = createHash('sha256');
  for (const name of readdirSync(sources).sort()) hash.update(readFileSync(join(sources, name)));
  const folder = join(cache, hash.digest('hex').slice(0, 16));
  if (existsSync(folder)) return { folder, reason: '' };
  mkdirSync(cache, { recursive: true });
  const building = mkdtempSync(join(cache, 'building-'));
  try {
    execFileSync('bash', [join(sources, 'build.sh'), building], { stdio: ['ignore', 'ignore', 'pipe'] });
    renameSync(building, folder);
  } catch (error) {
    rmSync(building, { recursive: true, force: true });
    if (!existsSync(folder))
      return {
        folder: null,
        reason: `the stub of CANN needs g++ with C++20: ${(error as Error).message.slice(0, 500)}`,
      };
  }
  return { folder, reason: '' };
}
