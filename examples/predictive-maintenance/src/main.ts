import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { defaultBackend } from '@frugal/backend-cpu';
import { setBackend } from '@frugal/tensor-core';
import { crossValidate } from './cross-validate.js';
import { printResults } from './results.js';
import { settings } from './settings.js';
import { readTable } from './table.js';

/** The path of the table, or null with the reason printed. */
function fetchTable(): string | null {
  const script = join(fileURLToPath(new URL('../../..', import.meta.url)), 'scripts/fetch-scania.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  console.log(`skipped: ${stderr.trim()}`);
  return null;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      'no-serve': { type: 'boolean' },
    },
  });
  if (!/^\d{1,9}$/.test(values.seed)) {
    console.error(`--seed takes a whole number: got ${values.seed}.`);
    process.exitCode = 2;
    return;
  }
  const file = fetchTable();
  if (!file) return;
  const backend = defaultBackend();
  setBackend(backend);
  console.error(backend.description);
  const table = readTable(file);
  const chosen = { ...settings[values.quick ? 'quick' : 'full'], seed: Number(values.seed) };
  printResults(table, await crossValidate(table, chosen, (line) => console.error(line)));
}

await main();
