import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { saveFile } from '@frugal/checkpoint';
import { machine } from '../shared/result.js';
import { spread } from '../shared/statistics.js';
import { openSetting, PROMPT } from './load.js';
import type { Samples } from './part.js';
import { parts } from './parts.js';

/**
 * The engine with many streams at once: beside llama.cpp (`base`), with JSON schemas (`json`), with adapters (`adapters`), and a
 * prompt that comes again (`prefix`), all in turns:
 *   npm run bench -- streams -- [--model FILE.gguf] [--only PART,…] [--streams N] [--new N] [--turns N] [--json FILE] [--fresh]
 * All streams begin together: each reads a prompt of its own and writes; speeds are new tokens per second, prompts included. What
 * was measured goes to FILE after each turn; started again with the same settings, only the turns that are missing are made.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    only: { type: 'string', default: Object.keys(parts).join() },
    streams: { type: 'string', default: '16' },
    new: { type: 'string', default: '128' },
    turns: { type: 'string', default: '5' },
    json: { type: 'string' },
    fresh: { type: 'boolean', default: false },
  },
});
const path = options.model ?? process.env.FRUGAL_BENCH_MODEL;
const names = options.only.split(',');
const unknown = names.filter((name) => !parts[name]);
if (!path) usage('no model: name one with --model (see benchmarks/README.md)');
if (unknown.length > 0) usage(`no such part: ${unknown.join()}; there are: ${Object.keys(parts).join()}`);

function usage(problem: string): never {
  console.error(`[streams] ${problem}`);
  process.exit(2);
}

const setting = await openSetting(path, Number(options.streams), Number(options.new));
const about = {
  machine: machine(),
  ...{ backend: setting.backend.description, model: path.split('/').pop() },
  ...{ streams: setting.streams, promptTokens: PROMPT, newTokens: setting.newTokens },
};
interface Result {
  readonly samples: Samples;
  readonly conclusions: readonly string[];
}
const results = known();

for (const name of names) {
  const part = parts[name];
  const samples: Record<string, number[]> = { ...(results[name]?.samples as Record<string, number[]>) };
  const missing = Number(options.turns) - Math.max(0, ...Object.values(samples).map(({ length }) => length));
  if (missing > 0) {
    const measurement = await part.start(setting);
    for (let turn = 0; turn < missing; turn++) {
      for (const [row, value] of Object.entries(await measurement.turn())) {
        samples[row] = [...(samples[row] ?? []), value];
        process.stderr.write(`${name}, ${row}: ${value.toFixed(1)} ${part.unit}\n`);
      }
      results[name] = { samples, conclusions: part.conclusions(samples) };
      await save();
    }
    await measurement.close();
  }
}

console.log(`machine: ${about.machine}; ${about.backend}; ${about.model}, ${about.streams} streams`);
for (const name of names) {
  const { samples, conclusions } = results[name];
  for (const [row, values] of Object.entries(samples))
    console.log(`${name}, ${row}: ${spread(values)} ${parts[name].unit}`);
  for (const line of conclusions) console.log(`${name}: ${line}`);
}

/** What an earlier run measured with the same settings on the same machine. */
function known(): Record<string, Result> {
  if (!options.json || options.fresh || !existsSync(options.json)) return {};
  const { parts: earlier, date: _, ...before } = JSON.parse(readFileSync(options.json, 'utf8'));
  return JSON.stringify(before) === JSON.stringify(about) ? earlier : {};
}

async function save(): Promise<void> {
  if (!options.json) return;
  mkdirSync(dirname(options.json), { recursive: true });
  const data = { ...about, date: new Date().toISOString().slice(0, 10), parts: results };
  await saveFile(options.json, `${JSON.stringify(data, null, 2)}\n`);
}
