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
import type { ResultStore } from './result-store.js';
import { type Measured, runVariant } from './run-variant.js';
import type { Subject } from './subject.js';

/** What a search was asked for and what its recipe makes, beside one format for all layers. */
export interface SearchOutcome {
  readonly target: SearchTarget['kind'];
  /** Bytes, or the share by which the perplexity may grow. */
  readonly limit: number;
  /** What was reached of it, on the text that recipes were judged by. */
  readonly reached: number;
  readonly seconds: number;
  /** On all held-out text. */
  readonly found: Measured;
  readonly uniform: Measured & { readonly name: string };
}

/** Calibration sequences of a search: every layer is rounded to every format with them. */
const SEQUENCES = 16;
/** Calibration tokens that divergence is measured with. */
const PROBES = 1024;

/**
 * A recipe of the size of int4 by GPTQ, and the smallest that loses no more than int4 by GPTQ does: what is found is to
 * be better without being larger, and smaller without being worse. Judged by every other held-out window. Both searches
 * share what they measure of layers and recipes.
 */
export async function measureSearches(
  subject: Subject,
  store: ResultStore,
  { dense, reference }: { readonly dense: Measured; readonly reference: Measured },
): Promise<SearchOutcome[]> {
  const share = reference.perplexity / dense.perplexity - 1;
  const targets = [
    [{ kind: 'size', bytes: reference.bytes }, reference.bytes],
    [{ kind: 'loss', share }, share],
  ] as const;
  const outcomes: SearchOutcome[] = [];
  for (const [target, limit] of targets) {
    outcomes.push(
      await store.find('search', target.kind, async () => {
        const start = performance.now();
        const { recipe, chosen, candidates, scoreBefore } = await search(subject, store, target);
        const seconds = (performance.now() - start) / 1000;
        const found = await runVariant(
          subject,
          recipe.stages.map(({ modifiers }) => modifiers),
        );
        const score = candidates.find(({ bytes }) => bytes === chosen.bytes)?.score ?? Number.NaN;
        const reached = target.kind === 'size' ? found.bytes : score / scoreBefore - 1;
        return {
          target: target.kind,
          limit,
          reached,
          seconds,
          found,
          uniform: { name: REFERENCE, ...reference },
        };
      }),
    );
  }
  return outcomes;
}

async function search(subject: Subject, store: ResultStore, target: SearchTarget): Promise<SearchResult> {
  const model = await subject.open();
  const options = standardOptions(model);
  model.dispose();
  return searchRecipe(() => subject.open(), target, {
    methods: quantMethods,
    options,
    calibration: subject.calibrationOf(SEQUENCES),
    probeTokens: PROBES,
    score: perplexityScore(subject.heldOut.filter((_, i) => i % 2 === 0)),
    size: (shape, packed) => savedBytes(shape, packed, 'frugal'),
    store: await openSearchStore(join(store.folder, 'search.json'), subject.name, { resume: true }),
    onProgress: ({ phase, done, total, note }) => {
      if (phase === 'sensitivity') console.error(`${subject.name}, layer ${done} of ${total}: ${note}`);
    },
  });
}
