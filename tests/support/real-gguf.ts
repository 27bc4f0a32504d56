import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A real GGUF file: named by FRUGAL_TEST_MODEL, or the first in .cache/models (`node scripts/fetch-test-model.mjs`). */
export function findGguf(): string | undefined {
  const folder = fileURLToPath(new URL('../../.cache/models', import.meta.url));
  const kept = existsSync(folder) ? readdirSync(folder).find((name) => name.endsWith('.gguf')) : undefined;
  return process.env.FRUGAL_TEST_MODEL ?? (kept && join(folder, kept));
}
