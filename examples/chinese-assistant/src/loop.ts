import { type Candidate, runSyntheticLoop, type SyntheticReport } from '@frugal/data';
import { chooseByLikelihood, pairedBootstrap, perplexity } from '@frugal/eval';
import { generateBatch } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { judged } from './compressed.js';
import { documentOf, explanationPrompt, type Idiom, questionAbout } from './idioms.js';
import type { Prepared } from './prepare.js';
import type { Settings } from './settings.js';
import { remember, tune } from './training.js';

/** Characters that an answer must share with the dictionary, of all that either has. */
const LEAST_SHARED = 0.2;
const LONGEST = 40;
const TEMPERATURE = 0.3;

/**
 * The model explains idioms of its training text; explanations on which several tries agree, and which resemble the
 * dictionary's, become answers to learn. Real questions about other idioms say after each round whether that did any good.
 */
export function improve(model: CausalLM, data: Prepared, settings: Settings): Promise<SyntheticReport> {
  const { tokenizer, seeds, practice, heldOut } = data;
  const explanations = new Map(
    seeds.map(({ word, explanation }) => [documentOf({ word } as Idiom).id, explanation]),
  );
  let undo = () => {};
  return runSyntheticLoop<readonly boolean[]>({
    rounds: settings.rounds,
    write: (round) => {
      const asked = seeds.slice((round - 1) * settings.asked, round * settings.asked);
      return explain(model, tokenizer, asked, { ...settings, seed: settings.seed + round });
    },
    judge: async ({ answer, seed }) => shared(answer, explanations.get(seed) ?? '') >= LEAST_SHARED,
    train: async (examples) => {
      undo = await remember(model);
      await tune(model, tokenizer, examples, settings);
    },
    undo: async () => undo(),
    measure: async () => {
      const results = await chooseByLikelihood(model, tokenizer, practice, { style: 'text' });
      return judged(results).map(({ correct }) => correct);
    },
    compare: (before, after) =>
      pairedBootstrap(
        after.map((right, i) => ({ first: Number(right), second: Number(before[i]), weight: 1 })),
      ),
    perplexity: async () => (await perplexity(model, tokenizer, heldOut.domain)).perplexity,
    mostPerplexity: 1.1,
    rules: { overlap: 0.4 },
  });
}

/** Several explanations of each idiom, in the model's words. */
async function explain(
  model: CausalLM,
  tokenizer: Tokenizer,
  idioms: readonly Idiom[],
  { answers, seed }: Settings,
): Promise<Candidate[]> {
  const requests = idioms.flatMap(({ word }, i) =>
    Array.from({ length: answers }, (_, j) => ({
      prompt: tokenizer.encode(explanationPrompt(word), { addSpecialTokens: false }),
      maxTokens: LONGEST,
      temperature: TEMPERATURE,
      seed: seed * 1_000_000 + i * answers + j,
      stopIds: tokenizer.eosIds,
    })),
  );
  const written: number[][] = requests.map(() => []);
  for await (const { request, id } of generateBatch(model, requests)) written[request].push(id);
  // The explanation is one line of an entry; what follows it is something else.
  const texts = written.map((ids) =>
    tokenizer.decode(ids, { skipSpecialTokens: true }).split('\n')[0].trim(),
  );
  return idioms.map((idiom, i) => ({
    instruction: questionAbout(idiom.word),
    answers: texts.slice(i * answers, (i + 1) * answers),
    seed: documentOf(idiom),
  }));
}

/** Characters that both have, of those that either has. */
function shared(a: string, b: string): number {
  const [one, other] = [new Set(a), new Set(b)];
  const both = [...one].filter((character) => other.has(character)).length;
  return both / Math.max(1, one.size + other.size - both);
}
