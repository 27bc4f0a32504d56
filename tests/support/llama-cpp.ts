import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findPeer } from './peers.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The folder in which node-llama-cpp is installed. */
export const findLlamaCpp = (): string | undefined => findPeer('node-llama-cpp');

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
