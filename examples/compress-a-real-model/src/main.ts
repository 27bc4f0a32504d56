import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultBackend } from '@frugal/backend-cpu';
import { loadModel } from '@frugal/models';
import { closeOnSignal, serveModels } from '@frugal/serve';
import { setBackend } from '@frugal/tensor-core';
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

function parseArguments() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        model: { type: 'string' },
        'no-serve': { type: 'boolean', default: false },
        port: { type: 'string', default: '8080' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    return process.exit(2);
  }
}

async function chooseSource(options: ReturnType<typeof parseArguments>, folder: string) {
  const backend = defaultBackend();
  setBackend(backend);
  console.error(backend.description);
  const isNative = backend.name !== 'reference';
  const file = isNative && !options.quick ? findModel(options.model) : null;
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

async function main(): Promise<void> {
  const options = parseArguments();
  if (options.help) return console.log(usage);
  if (!/^\d{1,5}$/.test(options.port)) {
    console.error(`--port takes a number: got ${options.port}.`);
    return process.exit(2);
  }
  process.env.FRUGAL_RUN_DIR ??= 'runs/compress-a-real-model';
  const { source, home, chosen } = await chooseSource(options, process.env.FRUGAL_RUN_DIR);
  const { models, results } = await run(source, home, chosen);
  printResults(source.label, results);
  console.log(`Charts: ${await saveResults(home, source.label, results)}`);
  if (options['no-serve']) return;
  const served = [...models].map(([name, model]) => ({
    name: name.replace(/[^a-z0-9]+/gi, '-'),
    model,
    tokenizer: source.tokenizer,
  }));
  const server = await serveModels({ models: served, port: Number(options.port) });
  console.log(`\nSide by side: ${server.url}   API: ${server.url}v1   (Ctrl-C ends)`);
  await closeOnSignal(server);
}

main().catch((error: unknown) => {
  // Our errors explain themselves, `[where] what: got …`; a stack is for the others.
  console.error(error instanceof Error && error.message.startsWith('[') ? error.message : error);
  process.exitCode = 1;
});
