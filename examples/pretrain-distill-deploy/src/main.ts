import { parseArgs } from 'node:util';
import { defaultBackend } from '@frugal/backend-cpu';
import { setBackend } from '@frugal/tensor-core';
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

interface Arguments {
  readonly quick: boolean;
  readonly serve: boolean;
  readonly port: number;
  readonly seed: number;
}

function parseArguments(): Arguments {
  const values = parseOptions();
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  return {
    quick: values.quick,
    serve: !values['no-serve'],
    port: wholeNumber('--port', values.port),
    seed: wholeNumber('--seed', values.seed),
  };
}

function parseOptions() {
  const options = {
    quick: { type: 'boolean', default: false },
    'no-serve': { type: 'boolean', default: false },
    port: { type: 'string', default: '8080' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  } as const;
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return wrongUsage((error as Error).message);
  }
}

function wholeNumber(option: string, text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : wrongUsage(`${option} takes a whole number: got ${text}.`);
}

function wrongUsage(message: string): never {
  console.error(`${message}\n\n${usage}`);
  process.exit(2);
}

function chooseSettings({ quick, seed }: Arguments): Settings {
  const backend = defaultBackend();
  setBackend(backend);
  console.error(backend.description);
  const size = backend.name === 'reference' ? 'nano' : quick ? 'quick' : 'full';
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

async function main(): Promise<void> {
  const chosen = parseArguments();
  const abort = new AbortController();
  const stop = () => abort.abort(new Interrupted());
  process.once('SIGINT', stop);
  const size = chooseSettings(chosen);
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
  if (chosen.serve) await serveStudent(models, laboratory, chosen.port);
}

class Interrupted extends Error {}

main().catch((error: unknown) => {
  if (error instanceof Interrupted) {
    console.error('\nStopped. Run it again to continue from here.');
    process.exitCode = 130;
    return;
  }
  // Our errors explain themselves, `[where] what: got …`; a stack is for the others.
  console.error(error instanceof Error && error.message.startsWith('[') ? error.message : error);
  process.exitCode = 1;
});
