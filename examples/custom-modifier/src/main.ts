import { parseArgs } from 'node:util';
import { defaultBackend } from '@frugal/backend-cpu';
import { type CompressReport, compress, InvariantError } from '@frugal/compress';
import { perplexity } from '@frugal/eval';
import { roundToNearest } from '@frugal/quant';
import { renderTable } from '@frugal/report';
import { setBackend } from '@frugal/tensor-core';
import { brokenRecipe, comparedRecipes } from './recipes.js';
import { sharedValues } from './shared-values.js';
import { type Trained, trainSmallModel } from './teacher.js';

const sizes = { full: { steps: 600, speeches: 60 }, quick: { steps: 60, speeches: 24 } };
/** Ours and Frugal's own, side by side. */
const methods = [sharedValues, roundToNearest];
async function score({ tokenizer, heldOut }: Trained, model: ReturnType<Trained['open']>): Promise<number> {
  return (await perplexity(model, tokenizer, heldOut, { context: 128 })).bitsPerByte;
}

/** The mean over layers of ‖W' - W‖² / ‖W‖². */
function weightError({ stages }: CompressReport): number | null {
  const errors = stages.flatMap(({ outcomes }) => outcomes.map(({ measured }) => measured?.weightError));
  const known = errors.filter((error) => typeof error === 'number');
  return known.length > 0 ? known.reduce((sum, error) => sum + error, 0) / known.length : null;
}

async function compare(trained: Trained): Promise<void> {
  const cells: (string | number | null)[][] = [['as trained', await score(trained, trained.open()), 0]];
  for (const [name, recipe] of comparedRecipes) {
    const { model, report } = await compress(trained.open(), recipe, {
      methods,
      calibration: trained.calibration,
    });
    cells.push([name, await score(trained, model), weightError(report)]);
  }
  const columns = [
    { title: 'recipe' },
    { title: 'bits/byte', decimals: 4 },
    { title: 'weight error', decimals: 5 },
  ];
  console.log(`\n${renderTable(columns, cells)}`);
}

/** A later stage that brings other numbers: the runner asks our method, and stops. */
async function breakIt(trained: Trained): Promise<void> {
  try {
    await compress(trained.open(), brokenRecipe, { methods });
    throw new Error('int8 groups kept four values per row, which cannot be');
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    console.log(`\na stage that breaks it is refused:\n${error.message}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, 'no-serve': { type: 'boolean' } },
  });
  setBackend(defaultBackend());
  const trained = await trainSmallModel(sizes[values.quick ? 'quick' : 'full']);
  await compare(trained);
  await breakIt(trained);
}

await main();
