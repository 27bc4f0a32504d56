import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { defaultBackend } from '@frugal/backend-cpu';
import { setBackend } from '@frugal/tensor-core';
import { readDiseases } from './diseases.js';
import { runSplit } from './experiment.js';
import { printVerdicts } from './results.js';
import { settings } from './settings.js';
import { splitCases } from './split.js';

/** The paths of the two files, or null with the reason printed. */
function fetchNames(): [string, string] | null {
  const script = join(fileURLToPath(new URL('../../..', import.meta.url)), 'scripts/fetch-icd10.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' });
  if (status === 0) return stdout.trim().split('\n') as [string, string];
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
  const files = fetchNames();
  if (!files) return;
  const backend = defaultBackend();
  setBackend(backend);
  console.error(backend.description);
  const { diseases, read } = readDiseases(...files);
  console.log(`${read} codes, ${diseases.length} different names, in English and Chinese; 22 chapters`);
  const seed = Number(values.seed);
  const chosen = settings[values.quick ? 'quick' : 'full'];
  for (const kind of ['random', 'category'] as const) {
    const split = splitCases(diseases, kind, seed);
    printVerdicts(kind, split, await runSplit(split, chosen, seed));
  }
}

await main();
