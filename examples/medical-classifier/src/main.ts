import { fetchFiles, parseArguments, runExample } from '@frugal/example-support';
import { readDiseases } from './diseases.js';
import { runSplit } from './experiment.js';
import { printVerdicts } from './results.js';
import { settings } from './settings.js';
import { splitCases } from './split.js';

const usage = `Sorts disease names into the chapters of ICD-10 by a text encoder and its small int8 student.

  --quick      short training, under a minute
  --seed N     another run (default 1)
`;

const { quick, seed } = parseArguments(usage);

runExample(async () => {
  const files = fetchFiles('fetch-icd10.mjs', (reason) => console.log(`skipped: ${reason}`));
  if (!files) return;
  const { diseases, read } = readDiseases(files[0], files[1]);
  console.log(`${read} codes, ${diseases.length} different names, in English and Chinese; 22 chapters`);
  for (const kind of ['random', 'category'] as const) {
    const split = splitCases(diseases, kind, seed);
    printVerdicts(kind, split, await runSplit(split, settings[quick ? 'quick' : 'full'], seed));
  }
});
