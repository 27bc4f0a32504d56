import { writeFile } from 'node:fs/promises';
import { accuracyOf, chooseByLikelihood, perplexity } from '@frugal/eval';
import { RunDirectory } from '@frugal/example-pretrain-distill-deploy/steps';
import { fetchFiles, parseArguments, runExample } from '@frugal/example-support';
import { loadModel, saveModel } from '@frugal/models';
import { type CausalLM, modelBytes } from '@frugal/tensor-core/nn';
import { examineCompressed, judged } from './compressed.js';
import { improve } from './loop.js';
import { type Prepared, prepare } from './prepare.js';
import { printCompressed, printLoop, printStages, printSteps, type Stage } from './results.js';
import { DOMAIN_RATE, GENERAL_RATE, settings } from './settings.js';
import { learn, newModel } from './training.js';

const usage = `Teaches a small model Chinese idioms, lets it learn from what it writes itself, and examines it.

  --quick      a small model, everything in under a minute
  --seed N     another run (default 1)
`;

const { quick, seed } = parseArguments(usage);

const answersOf = (model: CausalLM, { tokenizer, exam }: Prepared) =>
  chooseByLikelihood(model, tokenizer, exam, { style: 'text' });

async function examine(name: string, model: CausalLM, data: Prepared): Promise<Stage> {
  const { tokenizer, heldOut } = data;
  const bits = async (texts: readonly string[]) => (await perplexity(model, tokenizer, texts)).bitsPerByte;
  return {
    name,
    general: await bits(heldOut.general),
    domain: await bits(heldOut.domain),
    accuracy: accuracyOf(judged(await answersOf(model, data))),
  };
}

runExample(async (backend) => {
  const files = fetchFiles('fetch-idioms.mjs', (reason) => console.log(`skipped: ${reason}`));
  if (!files) return;
  const size = backend.name === 'reference' ? 'nano' : quick ? 'quick' : 'full';
  const chosen = { ...settings[size], seed };
  const run = await RunDirectory.open(chosen, process.env.FRUGAL_RUN_DIR ?? 'runs/chinese-assistant');
  const data = await prepare(files[0], chosen);
  printSteps(data.steps);
  await writeFile(run.file('idioms_val.csv'), data.examFile);

  const model = newModel(chosen, data.tokenizer.vocabularySize);
  await learn('三国演义', model, data.general, { tokens: chosen.generalTokens, rate: GENERAL_RATE }, chosen);
  const stages = [await examine('三国演义', model, data)];
  await learn('idioms', model, data.domain, { tokens: chosen.domainTokens, rate: DOMAIN_RATE }, chosen);
  stages.push(await examine('and the dictionary', model, data));
  printLoop(await improve(model, data, chosen));
  stages.push(await examine('and its own answers', model, data));
  printStages(stages);

  const manifest = { version: 1, kind: 'pretrain' } as const;
  const path = run.file('model');
  await saveModel(model, path, { tokenizerFiles: data.tokenizer.files(), manifest, force: true });
  const compressed = await examineCompressed(
    model,
    () => loadModel(path),
    (one) => answersOf(one, data),
  );
  printCompressed(modelBytes(model), compressed);
  console.log(`\nthe exam, in C-Eval's layout: ${run.file('idioms_val.csv')}`);
});
