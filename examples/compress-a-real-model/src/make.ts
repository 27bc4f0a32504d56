import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compress, type TrainFunction } from '@frugal/compress';
import { SequenceSampler } from '@frugal/data';
import { loadModel, saveModel, skeleton } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { AdamW, progressBar, schedules, train } from '@frugal/trainer';
import { type Form, methods } from './forms.js';
import type { Settings } from './settings.js';
import type { Source } from './source.js';

/** A finished form, and how long it took to make. */
export interface Made {
  readonly path: string;
  readonly seconds: number | null;
}

/** Makes one form, unless an earlier run did. */
export async function makeForm(
  form: Form,
  source: Source,
  folder: string,
  settings: Settings,
): Promise<Made> {
  const path = join(folder, form.key);
  if (existsSync(path)) return { path, seconds: null };
  const start = performance.now();
  const model = await loadModel(form.from === null ? source.path : join(folder, form.from));
  const recipe = form.recipe(model);
  const trains = recipe.stages.some(({ modifiers }) =>
    modifiers.some(({ type }) => type.startsWith('distill.')),
  );
  const teacher = trains ? await loadModel(source.path, { dtype: 'bf16' }) : undefined;
  const done = await compress(model, recipe, {
    methods,
    calibration: calibration(source, settings),
    rebuild: skeleton,
    onProgress: ({ done, total }) => drawProgress(form.name, done, total),
    ...(teacher && distillation(form, teacher, source, settings)),
  });
  teacher?.dispose();
  await saveModel(done.model, path, { tokenizerFiles: source.tokenizer.files(), manifest: done.manifest });
  done.model.dispose();
  return { path, seconds: (performance.now() - start) / 1000 };
}

/** What the runner needs for a stage that trains: the student learns the teacher's distribution on training speeches. */
function distillation(form: Form, teacher: CausalLM, source: Source, { distillation }: Settings) {
  const { steps, batch, sequence, learningRate } = distillation;
  const bar = progressBar({ label: form.name });
  const data = new SequenceSampler(trainingTokens(source, steps * batch * sequence), {
    length: sequence,
    batch,
    seed: 1,
  });
  const teach: TrainFunction = async (job) => {
    const schedule = schedules.linear({ peak: learningRate, steps, warmup: Math.ceil(0.1 * steps) });
    const optimizer = new AdamW({ weightDecay: 0 });
    let loss = 0;
    for await (const event of train({ ...job, steps, schedule, optimizer, clipNorm: 1, precision: 'bf16' })) {
      bar.update(event);
      if (event.type === 'step') loss = event.smoothedLoss;
    }
    bar.close();
    return { loss, tokens: steps * batch * sequence };
  };
  return { teacher, data, train: teach };
}

/** The beginnings of speeches spread over all years. */
function calibration(
  { training, tokenizer }: Source,
  { calibration: { count, length } }: Settings,
): Int32Array[] {
  const stride = Math.max(1, Math.floor(training.length / count));
  const chosen = training.filter((_, i) => i % stride === 0).slice(0, count);
  return chosen.map((text) => tokenizer.encode(text.slice(0, 16 * length)).slice(0, length));
}

/** The same share of each speech, together a bit more than is needed. */
function trainingTokens({ training, tokenizer }: Source, needed: number): Int32Array {
  const characters = Math.ceil((6 * needed) / training.length);
  return Int32Array.from(
    training.flatMap((text) => [
      tokenizer.eosIds[0],
      ...tokenizer.encode(text.slice(0, characters), { addSpecialTokens: false }),
    ]),
  );
}

function drawProgress(name: string, done: number, total: number): void {
  if (process.stderr.isTTY)
    process.stderr.write(`\r${name}: ${done} of ${total}${done === total ? '\n' : ''}`);
}
