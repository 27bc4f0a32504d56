import type { QuantizedLayoutName } from '@frugal/checkpoint';
import {
  openSearchStore,
  type Recipe,
  type SearchResult,
  type SearchTarget,
  searchPage,
  searchRecipe,
  standardOptions,
  standardStructures,
} from '@frugal/compress';
import { measureSpeed, perplexityScore } from '@frugal/eval';
import { configOf, savedBytes, skeleton } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { calibrationFor, holdOut } from './calibration.js';
import { storedDType, weightsHash, withCheckpoint } from './checkpoint.js';
import { type Inputs, methods, sequencesHash, storageFor } from './compression.js';
import type { Context } from './context.js';
import { CommandError } from './errors.js';
import { openModel } from './model.js';
import { withProgress } from './progress.js';

export interface SearchInputs {
  readonly out: string;
  readonly target: SearchTarget;
  readonly calibration: readonly string[];
  readonly calibrationTokens: number;
  /** Text that recipes are judged by; else a part of the calibration text is held out. */
  readonly validation?: readonly string[] | undefined;
  readonly validationTokens: number;
  readonly layout: QuantizedLayoutName;
  /** What is chosen beside formats. */
  readonly choices: readonly SearchChoice[];
  readonly resume?: boolean | undefined;
}

/** What a search can choose beside the bits of each layer. */
export const searchChoices = ['sparsity', 'width', 'layers'] as const;
export type SearchChoice = (typeof searchChoices)[number];

export interface FoundRecipe {
  readonly result: SearchResult;
  /** What the recipe was made with, and is judged by: to be run with the same. */
  readonly inputs: Inputs;
  /** The recipe and the page, to be written with the compressed model. */
  readonly files: Readonly<Record<string, string>>;
  /** To be called when that model is saved: what an interrupted search would go on with is no longer needed. */
  forget(): Promise<void>;
}

/**
 * Searches a recipe for the model at `path`. The first Ctrl-C ends it with the best so far.
 * @throws CommandError for texts that are too short, CompressError for targets out of reach
 */
export async function findRecipe(path: string, inputs: SearchInputs, context: Context): Promise<FoundRecipe> {
  const { out, target, layout, choices, resume = false } = inputs;
  const { calibration, validation } = await textsOf(path, inputs);
  const { dtype, shape } = await withCheckpoint(path, async (checkpoint) => ({
    dtype: storedDType(checkpoint),
    shape: skeleton(await configOf(checkpoint)),
  }));
  const may = (choice: SearchChoice) => choices.includes(choice);
  const key = JSON.stringify({
    model: await weightsHash(path),
    target,
    layout,
    choices: [...choices].sort(),
    calibration: sequencesHash(calibration),
    validation: sequencesHash(validation),
  });
  const store = await openSearchStore(`${out}.search.json`, key, { resume });
  const stop = new AbortController();
  const release = context.interrupts.capture(() => {
    release();
    context.terminal.err('Stopping with the best so far; Ctrl-C again gives up.\n');
    stop.abort();
  });
  const score = perplexityScore(validation);
  const latency = target.kind === 'latency' ? secondsOfToken : undefined;
  try {
    const result = await withProgress(context, 'Searching', (update) =>
      searchRecipe(() => openModel(path, quiet(context)), target, {
        methods,
        options: standardOptions(shape, { sparsity: may('sparsity') }),
        structures: standardStructures(shape, { layers: may('layers'), width: may('width') }),
        calibration,
        score,
        latency,
        store,
        storage: storageFor({ layout }),
        size: (model, packed) => savedBytes(model, packed, layout, dtype),
        rebuild: skeleton,
        signal: AbortSignal.any([stop.signal, context.signal]),
        onProgress: ({ done, total, note }) => update(done, total, note),
      }),
    );
    const files = {
      [RECIPE_FILE]: recipeText(result.recipe),
      [SEARCH_PAGE]: searchPage(result, `${path} → ${out}`),
    };
    return { result, inputs: { calibration, score, layout, dtype }, files, forget: () => store.remove() };
  } finally {
    release();
  }
}

/** Of one stream, after a short prompt. */
async function secondsOfToken(model: CausalLM): Promise<number> {
  const newTokens = Math.min(64, Math.max(2, model.contextLength - 16));
  const { decodeTokensPerSecond } = await measureSpeed(model, { promptTokens: 16, newTokens, repeats: 3 });
  return 1 / decodeTokensPerSecond.median;
}

/** A bar for each time that the model is opened would hide the one of the search. */
function quiet(context: Context): Context {
  return { ...context, terminal: { ...context.terminal, progressStream: undefined } };
}

/** Written beside the weights: the recipe, which `--recipe` runs again, and the page with charts. */
const RECIPE_FILE = 'recipe.json';
const SEARCH_PAGE = 'search.html';

function recipeText(recipe: Recipe): string {
  return `${JSON.stringify(recipe, null, 1)}\n`;
}

async function textsOf(path: string, inputs: SearchInputs) {
  const { calibration: files, calibrationTokens, validation, validationTokens } = inputs;
  if (validation) {
    return {
      calibration: await calibrationFor(path, files, calibrationTokens),
      validation: await calibrationFor(path, validation, validationTokens),
    };
  }
  const total = calibrationTokens + validationTokens;
  const { kept, heldOut } = holdOut(await calibrationFor(path, files, total), validationTokens / total);
  if (kept.length > 0 && heldOut.length > 0) return { calibration: kept, validation: heldOut };
  throw new CommandError({
    where: '--calibration',
    what: 'the text is too short to hold a part of it out',
    hint: 'Name other text with --validation, or give more.',
  });
}
