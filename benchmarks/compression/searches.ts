import { join } from 'node:path';
import {
  openSearchStore,
  type SearchResult,
  type SearchTarget,
  searchRecipe,
  standardOptions,
} from '@frugal/compress';
import { perplexityScore } from '@frugal/eval';
import { savedBytes } from '@frugal/models';
import { quantMethods } from '@frugal/quant';
import { REFERENCE } from './equal-quality.js';
import { type Measured, runVariant } from './run-variant.js';
import type { Subject } from './subject.js';

/** What a search was asked for and what its recipe makes, beside the same format for all layers at that size. */
export interface SearchOutcome {
  readonly target: string;
  /** Bytes, or the share by which the perplexity may grow. */
  readonly limit: number;
  /** What was reached of it, on the text that recipes were judged by. */
  readonly reached: number;
  readonly seconds: number;
  /** On all held-out text. */
  readonly found: Measured;
  readonly uniform: Measured & { readonly name: string };
}

/** May the perplexity grow by so much. */
const LOSS = 0.01;

/** Calibration sequences of a search: every layer is rounded to every format with them. */
const SEQUENCES = 16;

/** A recipe of the size of int4 by GPTQ, and the smallest within a limit of loss; judged by every other held-out window. */
export async function measureSearches(
  subject: Subject,
  folder: string,
  quality: Readonly<Record<string, Measured>>,
): Promise<SearchOutcome[]> {
  const reference = quality[REFERENCE];
  const targets: SearchTarget[] = [
    { kind: 'size', bytes: reference.bytes },
    { kind: 'loss', share: LOSS },
  ];
  const outcomes: SearchOutcome[] = [];
  for (const target of targets) {
    const start = performance.now();
    const { recipe, chosen, candidates, scoreBefore } = await search(subject, folder, target);
    const seconds = (performance.now() - start) / 1000;
    const found = await runVariant(
      subject,
      recipe.stages.map(({ modifiers }) => modifiers),
    );
    const score = candidates.find(({ bytes }) => bytes === chosen.bytes)?.score ?? Number.NaN;
    outcomes.push({
      target: target.kind,
      limit: target.kind === 'size' ? target.bytes : LOSS,
      reached: target.kind === 'size' ? found.bytes : score / scoreBefore - 1,
      seconds,
      found,
      uniform: { name: REFERENCE, ...reference },
    });
  }
  return outcomes;
}

async function search(subject: Subject, folder: string, target: SearchTarget): Promise<SearchResult> {
  const model = await subject.open();
  const options = standardOptions(model);
  model.dispose();
  const store = await openSearchStore(join(folder, `search-${target.kind}.json`), JSON.stringify(target), {
    resume: true,
  });
  return searchRecipe(() => subject.open(), target, {
    methods: quantMethods,
    options,
    calibration: subject.calibrationOf(SEQUENCES),
    score: perplexityScore(subject.heldOut.filter((_, i) => i % 2 === 0)),
    size: (shape, packed) => savedBytes(shape, packed, 'frugal'),
    store,
  });
}
