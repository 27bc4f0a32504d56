import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The folder in which a package is installed that only comparisons or options need: FRUGAL_NODE_PEERS, or .cache/node-peers. */
export function findPeer(name: string): string | undefined {
  const candidates = [process.env.FRUGAL_NODE_PEERS, join(root, '.cache/node-peers')];
  return candidates.find((folder) => folder && existsSync(join(folder, 'node_modules', name)));
}
