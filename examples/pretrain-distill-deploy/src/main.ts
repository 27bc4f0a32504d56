import { Interrupted, parseArguments, runExample } from '@frugal/example-support';
import type { Backend } from '@frugal/tensor-core';
import { distill } from './distill.js';
import { type Measured, measure } from './evaluate.js';
import { prepare } from './prepare.js';
import { type Laboratory, pretrain, type Trained } from './pretrain.js';
import { quantize } from './quantize.js';
import { RunDirectory } from './run-directory.js';
import { serveStudent } from './serve.js';
import { type Settings, settings } from './settings.js';
import { printTable } from './table.js';

const usage = `Trains a tokenizer and a teacher, distils a student, quantizes it and serves it.

  --quick      small models, everything in under a minute; the numbers need not order well
  --no-serve   stop after the table
  --port N     port of the chat page (default 8080)
  --seed N     another run (default 1)
`;

const { quick, seed, serve, port } = parseArguments(usage);

function chooseSettings({ name }: Backend): Settings {
  const size = name === 'reference' ? 'nano' : quick ? 'quick' : 'full';
  if (size === 'nano')
    console.error(
      'Without the native backend this runs a nano size: it shows that everything works, and no quality.',
    );
  if (size === 'quick')
    console.error('Quick size: it shows that everything works; the numbers need not order well.');
  return { ...settings[size], seed };
}

/** Every model of the table, in its order. */
async function trainAll(laboratory: Laboratory): Promise<Map<string, Trained>> {
  const { teacher: teacherShape, student } = laboratory.settings;
  const teacher = await pretrain(laboratory, 'teacher', teacherShape);
  const alone = await pretrain(laboratory, 'alone', student);
  const distilled = await distill(laboratory, 'distilled', teacher.model);
  const int8 = await quantize(laboratory, 'student-int8', { name: 'distilled', ...distilled });
  return new Map([
    ['teacher', teacher],
    ['student alone', alone],
    ['student distilled', distilled],
    ['student int8', int8],
  ]);
}

runExample(async (backend) => {
  const abort = new AbortController();
  const stop = () => abort.abort(new Interrupted());
  process.once('SIGINT', stop);
  const size = chooseSettings(backend);
  const run = await RunDirectory.open(size);
  console.error(`Results in ${run.path}`);
  const laboratory: Laboratory = {
    settings: size,
    run,
    data: await prepare(size, run),
    signal: abort.signal,
  };
  const models = await trainAll(laboratory);
  const results = await run.once('results.json', async () => {
    const measured: Record<string, Measured> = {};
    for (const [name, trained] of models) measured[name] = await measure(laboratory, trained);
    return measured;
  });
  printTable(results);
  process.off('SIGINT', stop);
  if (serve) await serveStudent(models, laboratory, port);
});
