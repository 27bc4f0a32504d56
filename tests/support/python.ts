import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A Python that can run `statement`: named by FRUGAL_PYTHON, kept in .cache, or the one on PATH. */
export function findPython(statement: string): string | undefined {
  const kept = ['.cache/oracles-venv/bin/python'].map((path) => join(root, path));
  const candidates = [process.env.FRUGAL_PYTHON, ...kept.filter(existsSync), 'python3'];
  return candidates.find((python) => python && spawnSync(python, ['-c', statement]).status === 0);
}
