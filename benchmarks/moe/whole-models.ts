import { openCheckpoint } from '@frugal/checkpoint';
import { perplexity } from '@frugal/eval';
import { loadModel, tokenizerOf } from '@frugal/models';
import { compareRouting, type ModelOutcome, ModelRouter, type RoutedModel } from '@frugal/moe';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { operationsPerToken } from '../shared/operations.js';
import type { Row } from '../shared/result.js';
import { median } from '../shared/statistics.js';
import { trainedModel } from './quality.js';

/**
 * Two models that share nothing, not even a tokenizer: SmolLM2-135M-Instruct, which is large and English, and the small mixture of
 * quality.ts, which has read a little of both languages. A router learns from half of the held-out text which of them predicts a text
 * better, by what it costs, and is scored on the other half: beside always the one that is better on average, always the cheaper one, and
 * drawing between the two. Quality is minus bits per byte, cost is millions of operations per byte.
 */
const LARGE = process.env.FRUGAL_TEST_MODEL ?? '.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf';
const PIECE_BYTES = 800;
const CONTEXT = { large: 512, small: 128 };
/** Bits per byte that a cheaper model may be worse by. */
const TOLERANCES = [0, 0.2, 0.4, 0.6, 0.8];
const SEEDS = [1, 2, 3];

/** Text in pieces of about {@link PIECE_BYTES} in UTF-8. */
function piecesOf(texts: readonly string[]): string[] {
  const characters = [...texts.join('\n')];
  const pieces: string[] = [];
  let [piece, bytes] = ['', 0];
  for (const character of characters) {
    piece += character;
    bytes += Buffer.byteLength(character);
    if (bytes < PIECE_BYTES) continue;
    pieces.push(piece);
    [piece, bytes] = ['', 0];
  }
  return pieces;
}

/** Bits per byte of each piece, and operations for each byte of all. */
async function scores(model: CausalLM, tokenizer: Tokenizer, pieces: readonly string[], context: number) {
  const results: Awaited<ReturnType<typeof perplexity>>[] = [];
  for (const piece of pieces) results.push(await perplexity(model, tokenizer, piece, { context }));
  const sum = (of: 'tokens' | 'bytes') => results.reduce((total, result) => total + result[of], 0);
  return {
    bitsPerByte: results.map((result) => result.bitsPerByte),
    cost: (operationsPerToken(model) * sum('tokens')) / sum('bytes') / 1e6,
  };
}

/** @param pieces of each language @param folder where the small model is kept */
export async function wholeModelRows(
  pieces: number,
  folder: string,
): Promise<{ readonly rows: Row[]; readonly notes: Record<string, unknown> }> {
  const { model: small, data, curve } = await trainedModel(0.8e6, folder);
  const large = await loadModel(LARGE);
  const checkpoint = await openCheckpoint(LARGE);
  const tokenizer = await tokenizerOf(checkpoint);
  await checkpoint.close();
  const texts = [...data.heldOut].flatMap(([language, some]) =>
    piecesOf(some)
      .slice(0, pieces)
      .map((text) => ({ language, text })),
  );
  const all = texts.map(({ text }) => text);
  const own = await scores(small, data.tokenizer, all, CONTEXT.small);
  const theirs = await scores(large, tokenizer, all, CONTEXT.large);
  const models: RoutedModel[] = [
    { name: 'small mixture', cost: own.cost },
    { name: 'SmolLM2-135M-Instruct', cost: theirs.cost },
  ];
  const outcomes: ModelOutcome[] = all.map((text, i) => ({
    text,
    quality: [-own.bitsPerByte[i], -theirs.bitsPerByte[i]],
  }));
  // The first half of each language is learnt from.
  const isLearnt = (i: number) => i % pieces < pieces / 2;
  const [learnt, unseen] = [true, false].map((side) => outcomes.filter((_, i) => isLearnt(i) === side));
  const byTolerance = TOLERANCES.map((tolerance) => ({
    tolerance,
    seeds: SEEDS.map((seed) =>
      compareRouting(ModelRouter.train(models, learnt, { seed }), unseen, tolerance),
    ),
  }));
  const rows = byTolerance.flatMap(({ tolerance, seeds }): Row[] => {
    const name = `two models, a router that allows ${tolerance} bits per byte`;
    const peer = 'always the better one';
    return [
      {
        ...{ name: `${name}: loss`, unit: 'bits per byte', peer },
        ours: seeds.map(({ router }) => -router.quality),
        theirs: seeds.map(({ alwaysBest }) => -alwaysBest.quality),
      },
      {
        ...{ name: `${name}: cost`, unit: 'million operations per byte', peer },
        ours: seeds.map(({ router }) => router.cost),
        theirs: seeds.map(({ alwaysBest }) => alwaysBest.cost),
      },
    ];
  });
  const medianOf = (language: string, bits: readonly number[]) =>
    median(bits.filter((_, i) => texts[i].language === language));
  const medians = Object.fromEntries(
    [...data.heldOut.keys()].map((language) => [
      language,
      { small: medianOf(language, own.bitsPerByte), large: medianOf(language, theirs.bitsPerByte) },
    ]),
  );
  small.dispose();
  large.dispose();
  return { rows, notes: { models, pieces: texts.length, medians, byTolerance, trained: curve.at(-1) } };
}
