import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type ProgramRun, runResident } from '../shared/resident.js';
import { report } from '../shared/result.js';
import { median } from '../shared/statistics.js';

/**
 * From the shell to the first token of a model, as a process of its own that opens the file anew, beside llama.cpp, in
 * turns; seconds by the clock and the most memory that was resident:
 *   npm run bench -- open -- [--model FILE.gguf] [--turns N] [--json FILE]
 * The file lies in the page cache. Goals: 0.6 s, and 1.3 × the file + 120 MB.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    turns: { type: 'string', default: '9' },
    json: { type: 'string' },
  },
});
const LIMIT_SECONDS = 0.6;
const PROMPT = 'Hi';
const root = join(import.meta.dirname, '../../..');
const model = resolve(
  options.model ??
    process.env.FRUGAL_BENCH_MODEL ??
    join(root, '.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf'),
);

function main(): void {
  const sides = {
    ours: () =>
      runResident(join(root, 'packages/cli/bin/frugal.js'), [
        'generate',
        model,
        ...['--prompt', PROMPT],
        ...['--max-tokens', '1'],
      ]),
    theirs:
      peer && (() => runResident(join(root, 'benchmarks/peers/llama_cpp_open.mjs'), [peer, model, PROMPT])),
  };
  const ours = [sides.ours()].slice(1); // the first one brings everything into the page cache
  const theirs = sides.theirs ? [sides.theirs()].slice(1) : [];
  for (let turn = 0; turn < Number(options.turns); turn++) {
    ours.push(sides.ours());
    if (sides.theirs) theirs.push(sides.theirs());
  }
  const fileMegabytes = statSync(model).size / 1e6;
  const limit = 1.3 * fileMegabytes + 120;
  const row = (name: string, unit: string, value: (opening: ProgramRun) => number) => ({
    name,
    unit,
    peer: version,
    ours: ours.map(value),
    theirs: theirs.map(value),
  });
  const rows = [
    row('to the first token', 's', ({ seconds }) => seconds),
    row('resident at most', 'MB', ({ residentBytes }) => residentBytes / 1e6),
  ];
  report(rows, { model: model.split('/').at(-1), fileMegabytes, limitSeconds: LIMIT_SECONDS, limit });
  const missed = median(rows[0].ours) > LIMIT_SECONDS || median(rows[1].ours) > limit;
  if (missed) process.exitCode = 1;
  console.log(`goals: ${LIMIT_SECONDS} s and ${limit.toFixed(0)} MB: ${missed ? 'missed' : 'reached'}`);
}

const packages = process.env.FRUGAL_NODE_PEERS ?? join(root, '.cache/node-peers');
const folder = resolve(packages, 'node_modules/node-llama-cpp');
const peer = existsSync(folder) ? folder : null;
const version =
  peer && `node-llama-cpp ${JSON.parse(readFileSync(join(peer, 'package.json'), 'utf8')).version}`;
if (!peer) console.error(`llama.cpp is left out: there is no ${folder} (see benchmarks/peers/README.md)`);
if (existsSync(model)) main();
else console.log(`skipped: there is no ${model}; node scripts/fetch-test-model.mjs brings it`);
