import { fetchFiles, parseArguments, runExample } from '@frugal/example-support';
import { crossValidate } from './cross-validate.js';
import { printResults } from './results.js';
import { settings } from './settings.js';
import { readTable } from './table.js';

const usage = `Finds failing trucks by 170 sensors: a tabular network, its pruned int8 student, and the simple ways.

  --quick      three folds and short training, under a minute
  --seed N     another run (default 1)
`;

const { quick, seed } = parseArguments(usage);

runExample(async () => {
  const files = fetchFiles('fetch-scania.mjs', (reason) => console.log(`skipped: ${reason}`));
  if (!files) return;
  const table = readTable(files[0]);
  const chosen = { ...settings[quick ? 'quick' : 'full'], seed };
  printResults(table, await crossValidate(table, chosen, (line) => console.error(line)));
});
