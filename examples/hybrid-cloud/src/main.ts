import { readFile } from 'node:fs/promises';
import { findGpus } from '@frugal/backend-cuda';
import { perplexity } from '@frugal/eval';
import { type Prepared, prepare, RunDirectory } from '@frugal/example-pretrain-distill-deploy/steps';
import { parseArguments, runExample } from '@frugal/example-support';
import { loadModel } from '@frugal/models';
import { formatBytes } from '@frugal/report';
import { closeOnSignal } from '@frugal/serve';
import { modelBytes } from '@frugal/tensor-core/nn';
import { backendNames } from './backends.js';
import { complete, deploy, quantize } from './deploy.js';
import { Places } from './places.js';
import { largestGap, type Measured, printLife } from './results.js';
import { type Settings, settings } from './settings.js';

const usage = `A model begins on processors, goes on together with another backend elsewhere, and is served in 8 bits.

  --quick          a small model, everything in under a minute
  --second NAME    backend of the second place: ${backendNames.join(', ')} (default: cuda with a GPU, else wasm)
  --no-serve       stop after the first answer
  --port N         port of the chat page (default 8080)
  --seed N         another run (default 1)
`;

const { quick, seed, serve, port, others } = parseArguments(usage, { second: { type: 'string' } });

function secondBackend(): string {
  const name = others.second ?? (findGpus().gpus.length > 0 ? 'cuda' : 'wasm');
  if (backendNames.includes(String(name))) return String(name);
  throw new Error(`[--second] no such backend: got ${name}; expected ${backendNames.join(', ')}.`);
}

async function train(run: RunDirectory, chosen: Settings, { tokenizer, heldOut }: Prepared) {
  const texts = [...heldOut.values()].flat();
  const measure = async (name: string, where: string, steps: number, path: string): Promise<Measured> => {
    const model = await loadModel(path);
    const { bitsPerByte } = await perplexity(model, tokenizer, texts, { context: chosen.sequence });
    const bytes = modelBytes(model);
    model.dispose();
    return { name, where, steps, bitsPerByte, bytes };
  };
  const places = new Places(run, chosen);
  const second = secondBackend();
  const begun = await places.begin();
  const [onProcessors, onSecond] = [await places.goOn('cpu'), await places.goOn(second)];
  const both = await places.together(second);
  const int8 = await quantize(run);
  const { firstSteps, localSteps, steps } = chosen;
  printLife([
    await measure('begun', 'two processors', firstSteps, run.file('begun/model')),
    await measure('gone on alone', 'cpu', firstSteps + localSteps, run.file('alone-cpu/model')),
    await measure('gone on alone', second, firstSteps + localSteps, run.file(`alone-${second}/model`)),
    await measure('gone on together', `cpu and ${second}`, steps, run.file('a/model')),
    await measure('in 8 bits', 'the server', steps, int8),
  ]);
  console.log(`second place: ${onSecond.backend}`);
  const gap = largestGap(onProcessors, onSecond);
  console.log(
    `${localSteps} steps from the same checkpoint on either backend: losses at most ${gap.toExponential(1)} apart`,
  );
  const weights = await Promise.all(
    ['a', 'b'].map((place) => readFile(run.file(`${place}/model/model.safetensors`))),
  );
  const same = weights[0].equals(weights[1]) ? 'the same bits' : 'different bits';
  console.log(`weights in both places at the end: ${same}`);
  const exchanges = (steps - firstSteps) / localSteps;
  console.log(
    `each of ${exchanges} exchanges brought the first place ${formatBytes(both[0].received / exchanges)}, ` +
      `of a model of ${formatBytes(weights[0].byteLength)}; shares ${both[0].shares.join(':')}, ` +
      `of the beginning ${begun.shares.join(':')}`,
  );
  return int8;
}

runExample(async ({ name }) => {
  const chosen = { ...settings[name === 'reference' ? 'nano' : quick ? 'quick' : 'full'], seed };
  const run = await RunDirectory.open(chosen, process.env.FRUGAL_RUN_DIR ?? 'runs/hybrid-cloud');
  const int8 = await train(run, chosen, await prepare(chosen, run));
  const server = await deploy(int8, serve ? port : 0);
  for (const prompt of ['The people of the United States', '却说曹操']) {
    const answer = await complete(server, prompt, chosen.answerTokens);
    console.log(`\nthe server continues “${prompt}”:${answer.replaceAll('\n', ' ')}`);
  }
  if (!serve) return server.close();
  console.log(`\nChat page: ${server.url}   API: ${server.url}v1   (Ctrl-C ends)`);
  await closeOnSignal(server);
});
