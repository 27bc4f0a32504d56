import { randomUUID } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import type { ApiKey } from '@frugal/serve';
import { z } from 'zod';
import { exists } from '../files.js';
import { checkSettings, readSettingsFile, settings } from '../settings.js';

const schema = settings({
  keys: z.array(
    settings({
      name: z.string().min(1),
      sha256: z.string().regex(/^[0-9a-f]{64}$/i, 'expected 64 hexadecimal digits'),
      limits: settings({
        requestsPerMinute: z.int().positive().optional(),
        concurrentRequests: z.int().positive().optional(),
        lowestPriority: z.int().optional(),
      }).optional(),
    }),
  ),
});

const hint = 'frugal api-key writes such files.';

/** The keys of a file: names, hashes and limits. @throws CommandError listing every wrong field */
export async function readKeyFile(file: string): Promise<readonly ApiKey[]> {
  return checkSettings(schema, await readSettingsFile(file, hint), file, hint).keys;
}

/** Replaces the file in one step; only its owner may read it. */
export async function writeKeyFile(file: string, keys: readonly ApiKey[]): Promise<void> {
  const staging = `${file}.${randomUUID()}`;
  await writeFile(staging, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(staging, file);
}

/** The keys of a file that need not be there yet. */
export async function readKeyFileIfThere(file: string): Promise<readonly ApiKey[]> {
  return (await exists(file)) ? readKeyFile(file) : [];
}
