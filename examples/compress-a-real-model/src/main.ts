import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArguments, runExample } from '@frugal/example-support';
import { loadModel } from '@frugal/models';
import { closeOnSignal, serveModels } from '@frugal/serve';
import type { Backend } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { type Measured, measure, type Scores, scoresOf } from './evaluate.js';
import { forms } from './forms.js';
import { makeForm } from './make.js';
import { printResults, saveResults } from './results.js';
import { type Settings, settings } from './settings.js';
import { findModel, ownSource, realSource, type Source } from './source.js';

const usage = `Compresses SmolLM2-135M-Instruct in six ways, compares them, and serves them side by side.

  --quick        a small model that is trained on the spot; everything in under a minute
  --model FILE   another GGUF file than the one that is fetched
  --no-serve     stop after the table
  --port N       port of the chat page (default 8080)
`;

const { quick, serve, port, others } = parseArguments(usage, { model: { type: 'string' } });

async function chooseSource({ name }: Backend, folder: string) {
  const isNative = name !== 'reference';
  const file = isNative && !quick ? findModel(others.model as string | undefined) : null;
  const size: Settings['size'] = file ? 'full' : isNative ? 'quick' : 'nano';
  const home = join(folder, size);
  await mkdir(home, { recursive: true });
  const chosen = settings[size];
  const source = file ? await realSource(file, home, chosen) : await ownSource(chosen);
  return { source, home, chosen };
}

/** Makes and measures every form; the models stay open. */
async function run(source: Source, home: string, chosen: Settings) {
  const models = new Map<string, CausalLM>();
  const results: Measured[] = [];
  let reference: Scores | null = null;
  const add = async (name: string, path: string) => {
    const model = await loadModel(path, { dtype: 'bf16' });
    const scores = await scoresOf(model, source, chosen);
    results.push(await measure(name, model, scores, { reference, settings: chosen }));
    reference ??= scores;
    models.set(name, model);
  };
  await add('bf16', source.path);
  for (const form of forms) {
    const { path, seconds } = await makeForm(form, source, home, chosen);
    console.error(
      `${form.name}: ${seconds === null ? 'from an earlier run' : `made in ${seconds.toFixed(0)} s`}`,
    );
    await add(form.name, path);
  }
  return { models, results };
}

runExample(async (backend) => {
  process.env.FRUGAL_RUN_DIR ??= 'runs/compress-a-real-model';
  const { source, home, chosen } = await chooseSource(backend, process.env.FRUGAL_RUN_DIR);
  const { models, results } = await run(source, home, chosen);
  printResults(source.label, results);
  console.log(`Charts: ${await saveResults(home, source.label, results)}`);
  if (!serve) return;
  const served = [...models].map(([name, model]) => ({
    name: name.replace(/[^a-z0-9]+/gi, '-'),
    model,
    tokenizer: source.tokenizer,
  }));
  const server = await serveModels({ models: served, port });
  console.log(`\nSide by side: ${server.url}   API: ${server.url}v1   (Ctrl-C ends)`);
  await closeOnSignal(server);
});
