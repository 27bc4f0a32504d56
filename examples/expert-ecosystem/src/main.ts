import { perplexity } from '@frugal/eval';
import { parseArguments, runExample } from '@frugal/example-support';
import { extendMixture, fitGates, mixModels } from '@frugal/models';
import { inspectRouting } from '@frugal/moe';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { type Domain, prepare } from './prepare.js';
import { type Settings, settings } from './settings.js';
import { printMixture, printSpecialization, type Scores } from './table.js';
import { trainBase, trainSpecialist } from './training.js';

const usage = `Trains a base and a specialist per domain, mixes them into one model, and adds a domain later.

  --quick      small models, everything in under a minute
  --seed N     another run (default 1)
`;

const { quick, seed } = parseArguments(usage);

runExample(async () => {
  const chosen: Settings = { ...settings[quick ? 'quick' : 'full'], seed };
  const { tokenizer, first, added } = await prepare(chosen);
  const score = async (model: CausalLM, domains: readonly Domain[]): Promise<Scores> => {
    const scores: Record<string, number> = {};
    for (const { name, heldOut } of domains)
      scores[name] = (await perplexity(model, tokenizer, heldOut, { context: chosen.sequence })).bitsPerByte;
    return scores;
  };

  const streams = first.map(({ tokens }) => tokens);
  const base = await trainBase(streams, tokenizer.vocabularySize, chosen);
  const all = [...first, added];
  const specialists: CausalLM[] = [];
  for (const { name, tokens } of all) specialists.push(await trainSpecialist(name, base, tokens, chosen));

  // One model of the first three: attention is shared, the feed-forward layers become experts, only gates are fitted.
  const named = first.map(({ name }, i) => ({ name, model: specialists[i] }));
  const mixture = await mixModels(base, named);
  const texts = first.map(({ gate: sequences }, expert) => ({
    expert,
    model: specialists[expert],
    sequences,
  }));
  fitGates(mixture, texts);

  // The fourth, later: the rows of the old gates stay; old text goes through the old mixture.
  const extended = await extendMixture(mixture, { name: added.name, model: specialists[first.length] });
  const oldTexts = texts.map((text) => ({ ...text, model: mixture }));
  const newText = { expert: first.length, model: specialists[first.length], sequences: added.gate };
  fitGates(extended, [...oldTexts, newText], first.length);

  const own: Record<string, number> = {};
  for (const [i, domain] of all.entries()) Object.assign(own, await score(specialists[i], [domain]));
  const rows = {
    base: await score(base, all),
    'specialist of the domain': own,
    'mixture of three': await score(mixture, all),
    'a fourth added': await score(extended, all),
  };
  printMixture(rows, { first: first.map(({ name }) => name), added: added.name });
  const routed = all.map(({ name, gate }) => ({ name, sequences: gate.slice(0, 8) }));
  printSpecialization(await inspectRouting(extended, routed));
});
