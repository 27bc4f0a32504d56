import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { saveFile } from '@frugal/checkpoint';
import { saveJsonLines } from '@frugal/data';
import { machine } from '../shared/result.js';
import { type Pair, readPairs } from './pairs.js';

/**
 * Does a model gain from what another writes? Names of diseases and their sections of ICD-10-CM: a teacher learned 4,000
 * of them, a student 300. `frugal data synthesize` lets the teacher label further names, three answers each, and scores the
 * student on 400 real pairs that nobody saw. Then the same with a teacher whose labels were shuffled, which must stop.
 * `npm run bench -- synthesis`; `-- synthesis -- --quick` checks that the program works. Teachers and student are kept.
 */
const isQuick = process.argv.includes('--quick');
const SIZE = isQuick
  ? { each: 120, heldOut: 40, perRound: 30, rounds: 1, few: 20, names: 20, labels: 10 }
  : { each: 4000, heldOut: 400, perRound: 1000, rounds: 2, few: 300, names: 150, labels: 600 };

const folder = join('.cache/synthesis', isQuick ? 'quick' : 'full');
const at = (name: string) => join(folder, name);
const program = fileURLToPath(new URL('../../../packages/cli/dist/main.js', import.meta.url));

/** Runs `frugal`, and gives its JSON. `mayFail`: exit code 1 is an answer as well. */
function frugal(args: readonly string[], { mayFail = false } = {}): Record<string, unknown> {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args, '--json'], {
    encoding: 'utf8',
  });
  if (status !== 0 && !(mayFail && status === 1)) throw new Error(`frugal ${args.join(' ')}\n${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) as string);
}

function once(name: string, args: readonly string[]): void {
  if (!existsSync(at(name))) frugal(args);
}

/** Pretrains on names, and then, for a teacher, on their sections. */
async function makeModels(): Promise<void> {
  once('tokenizer', [
    'data',
    'train-tokenizer',
    at('texts.jsonl'),
    '--vocabulary',
    '2048',
    '--out',
    at('tokenizer'),
  ]);
  for (const [name, width, layers] of [
    ['small', 64, 2],
    ['large', 128, 3],
  ] as const) {
    const model = {
      architectures: ['LlamaForCausalLM'],
      hidden_size: width,
      intermediate_size: 2.5 * width,
      num_hidden_layers: layers,
      num_attention_heads: width / 32,
      max_position_embeddings: 128,
      tie_word_embeddings: true,
    };
    const training = { steps: SIZE.names, sequence: 64, batch: 16, learningRate: 0.02 };
    const experiment = { model, data: ['names.jsonl'], tokenizer: 'tokenizer', out: name, training };
    await saveFile(at(`${name}.yaml`), JSON.stringify(experiment));
    once(name, ['pretrain', at(`${name}.yaml`), '--resume']);
  }
  tune('student', 'small', SIZE.names);
  for (const teacher of ['teacher', 'saboteur']) tune(teacher, 'large', SIZE.labels);
}

/** Teaches a pretrained model the pairs in the file of its name. */
function tune(name: string, base: string, steps: number): void {
  const settings = { steps, batch: 32, 'learning-rate': 0.002, sequence: 64 };
  const training = Object.entries(settings).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  const data = ['--data', at(`${name}.jsonl`), '--out', at(name), '--resume'];
  once(name, ['finetune', at(base), '--full', ...data, ...training]);
}

/** One loop, from its beginning. */
async function loop(teacher: string): Promise<Record<string, unknown>> {
  const out = `taught-by-${teacher}`;
  for (const path of [at(out), at(`${out}.training`)]) await rm(path, { recursive: true, force: true });
  const config = {
    student: 'student',
    teacher,
    seeds: ['seeds.jsonl'],
    heldOut: ['held-out.jsonl'],
    out,
    rounds: SIZE.rounds,
    documentsPerRound: SIZE.perRound,
    epochs: 6,
    writing: { answers: 3, temperature: 0.7, maxTokens: 32, batch: 32 },
    training: { batch: 32, learningRate: 0.003, sequence: 64 },
  };
  await saveFile(at(`${out}.yaml`), JSON.stringify(config, null, 2));
  return frugal(['data', 'synthesize', at(`${out}.yaml`)], { mayFail: true });
}

const save = (name: string, values: readonly object[]) =>
  saveJsonLines(at(name), async (write) => {
    for (const value of values) await write(value);
  });
const chat = ({ name, section }: Pair) => ({ prompt: name, completion: section });

await mkdir(folder, { recursive: true });
const { labelled, unlabelled, heldOut } = await readPairs(SIZE);
const known = [...labelled, ...unlabelled];
await save(
  'names.jsonl',
  known.map(({ name }) => ({ text: name })),
);
await save(
  'texts.jsonl',
  known.map(({ name, section }) => ({ text: `${name}\n${section}` })),
);
await save('student.jsonl', labelled.slice(0, SIZE.few).map(chat));
await save('teacher.jsonl', labelled.map(chat));
await save(
  'saboteur.jsonl',
  labelled.map(({ name }, i) => chat({ name, section: labelled[(i * 7 + 3) % labelled.length].section })),
);
await save(
  'seeds.jsonl',
  unlabelled.map(({ name }) => ({ id: name, text: name })),
);
await save('held-out.jsonl', heldOut.map(chat));
await makeModels();
const outcomes = { teacher: await loop('teacher'), saboteur: await loop('saboteur') };
console.log(`machine: ${machine()}`);
console.log(JSON.stringify(outcomes, null, 2));
const jsonAt = process.argv.indexOf('--json');
if (jsonAt >= 0) {
  const facts = { machine: machine(), date: new Date().toISOString().slice(0, 10), size: SIZE };
  await saveFile(process.argv[jsonAt + 1], `${JSON.stringify({ ...facts, ...outcomes }, null, 2)}\n`);
}
const kept = ({ rounds }: Record<string, unknown>) =>
  (rounds as { kept: boolean }[]).filter((round) => round.kept).length;
if (!isQuick && (kept(outcomes.teacher) < SIZE.rounds || kept(outcomes.saboteur) > 0)) process.exitCode = 1;
