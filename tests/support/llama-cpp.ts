import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The folder in which node-llama-cpp is installed: FRUGAL_NODE_PEERS, or .cache/node-peers. */
export function findLlamaCpp(): string | undefined {
  const candidates = [process.env.FRUGAL_NODE_PEERS, join(root, '.cache/node-peers')];
  return candidates.find((folder) => folder && existsSync(join(folder, 'node_modules/node-llama-cpp')));
}

/** Runs a script of `oracles/` with that folder first; the lines of JSON that it prints. */
export async function askLlamaCpp<T>(script: string, folder: string, args: readonly string[]): Promise<T[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(root, 'oracles', script), folder, ...args],
    { maxBuffer: 2 ** 28, timeout: 600_000 },
  );
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}
