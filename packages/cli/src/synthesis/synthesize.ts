import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Manifest, saveFile } from '@frugal/checkpoint';
import {
  type Candidate,
  type Document,
  readDocuments,
  readRecords,
  readTuningData,
  runSyntheticLoop,
  type SyntheticExample,
  type SyntheticProgress,
  type SyntheticReport,
  type SyntheticRound,
  saveJsonLines,
  type TokenExample,
  textFraction,
} from '@frugal/data';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { exists, refuseExisting } from '../files.js';
import { localFiles } from '../sources.js';
import { finishRun, openRunDirectory, type RunOptions, runDirectoryOf } from '../training/run-directory.js';
import { version } from '../version.js';
import type { SynthesisConfig } from './config.js';
import { endpointWriter } from './endpoint-writer.js';
import { type Cost, costsOf, gainOf, heldOutExamples, meanCost, realTextOf } from './held-out.js';
import { localWriter } from './local-writer.js';
import { reportPage } from './report-page.js';
import { Student } from './student.js';
import { documentsOf, writeCandidates } from './write-candidates.js';
import type { Writer } from './writer.js';

export interface SynthesisOptions extends RunOptions {
  /** Of the endpoint. */
  readonly apiKey?: string | undefined;
}

/** What a loop has come to, without its examples: these are in `OUT.training/examples.jsonl`. */
export interface SynthesisOutcome extends Omit<SyntheticReport, 'examples'> {
  readonly examples: number;
  readonly heldOut: number;
  /** Nats per token of the held-out examples, at the start and with the model of the last round that was kept. */
  readonly loss: { readonly before: number; readonly after: number };
}

/** What can be known before any weights are read. */
export interface SynthesisPlan {
  readonly student: Student;
  readonly seeds: readonly Document[];
  readonly heldOut: readonly TokenExample[];
}

/** @throws CommandError, DataError for settings and files that do not fit */
export async function planSynthesis(
  config: SynthesisConfig,
  { force }: SynthesisOptions,
  context: Context,
): Promise<SynthesisPlan> {
  await refuseExisting(config.out, force);
  const { checkpoints } = runDirectoryOf(config.out);
  const folders = {
    folderOf: (round: number) => join(checkpoints, `round-${round}`),
    logOf: (round: number) => join(`${config.out}.training`, `round-${round}`),
  };
  const student = await Student.open(config, folders, context);
  const files = await localFiles(config.heldOut, context);
  const heldOut = await heldOutExamples(files, student.tokenizer, student.training.sequence);
  return { student, heldOut, seeds: await seedDocuments(config, context) };
}

/** Runs the loop, and saves the model of its last round that was a gain. */
export async function synthesize(
  config: SynthesisConfig,
  { student, seeds, heldOut }: SynthesisPlan,
  options: SynthesisOptions,
  context: Context,
): Promise<SynthesisOutcome> {
  const { out, writing, filters, documentsPerRound, rounds } = config;
  const { agreement, overlap, length, ...limits } = filters;
  const resume = options.resume ?? false;
  const run = await openRunDirectory(out, config, options);
  const realText = await realTextMeasure(config, student, context);
  const saved = new SavedProgress(join(run.checkpoints, 'progress.json'));
  const earlier = resume ? await saved.read() : undefined;
  student.kept = earlier?.progress.rounds.length ?? 0;
  let writer: Writer | undefined;
  try {
    const before = earlier?.before ?? meanCost(await costsOf(await student.model(), heldOut));
    const report = await runSyntheticLoop<Cost[]>({
      ...limits,
      rules: withoutUndefined({ agreement, overlap, length }),
      rounds,
      ...(earlier && { progress: earlier.progress }),
      write: (round) =>
        writtenOnce(join(run.checkpoints, `round-${round}`, 'candidates.jsonl'), async () => {
          writer ??= await openWriter(config, options, context);
          const documents = documentsOf(seeds, round, documentsPerRound);
          return writeCandidates(writer, documents, round, { writing, seed: config.seed }, context);
        }),
      train: (examples, round) => student.train(examples, round, resume),
      measure: async () => costsOf(await student.model(), heldOut),
      compare: gainOf,
      ...(realText && { perplexity: async () => realText(await student.model()) }),
      undo: async () => student.close(),
      onRound: async (round, progress) => {
        context.terminal.err(`${describeRound(round)}\n`);
        if (!round.kept) return;
        student.kept = round.round;
        await saved.write({ before, progress });
      },
    });
    const after = meanCost(await costsOf(await student.model(), heldOut));
    const { examples, ...facts } = report;
    const outcome = {
      ...facts,
      examples: examples.length,
      heldOut: heldOut.length,
      loss: { before, after },
    };
    await saveResult(config, student, outcome, examples, options.force ?? false);
    await finishRun(run);
    return outcome;
  } finally {
    writer?.close();
    student.close();
  }
}

/** One line about a round, for people who watch. */
function describeRound({
  round,
  candidates,
  accepted,
  diversity,
  gain,
  perplexity,
  kept,
}: SyntheticRound): string {
  const facts = [`round ${round}: ${accepted} of ${candidates} kept, diversity ${diversity.toFixed(3)}`];
  if (gain)
    facts.push(
      `gain ${gain.difference.toFixed(4)} (${gain.low.toFixed(4)} to ${gain.high.toFixed(4)}) nats per token`,
    );
  if (perplexity !== undefined) facts.push(`perplexity of real text ${perplexity.toFixed(2)}`);
  return `${facts.join(', ')}${kept ? '' : ': not kept'}`;
}

/** Data and report go to `OUT.training`; the model to `OUT`, unless it has learned nothing. */
async function saveResult(
  config: SynthesisConfig,
  student: Student,
  outcome: SynthesisOutcome,
  examples: readonly SyntheticExample[],
  force: boolean,
): Promise<void> {
  const { out, teacher, seeds, seed } = config;
  const folder = `${out}.training`;
  await saveJsonLines(join(folder, 'examples.jsonl'), async (write) => {
    for (const { instruction, answer, seed: id } of examples)
      await write({ instruction, output: answer, seed: id });
  });
  await saveFile(join(folder, 'report.json'), `${JSON.stringify(outcome, null, 2)}\n`);
  await saveFile(join(folder, 'report.html'), reportPage(outcome, out));
  if (student.kept === 0) return;
  const named = typeof teacher === 'string' ? teacher : `${teacher.model} at ${teacher.url}`;
  const manifest: Manifest = {
    version: 1,
    createdBy: `frugal ${version}`,
    kind: 'synthesize',
    seed,
    sources: [
      { role: 'student', name: config.student },
      { role: 'teacher', name: named },
    ],
    data: seeds.map((name) => ({ role: 'seeds', name })),
    training: JSON.parse(
      JSON.stringify({ ...student.training, steps: undefined, epochs: config.epochs, ...outcome }),
    ),
  };
  await student.save(out, { manifest, force });
}

async function openWriter(
  { teacher, writing }: SynthesisConfig,
  { apiKey }: SynthesisOptions,
  context: Context,
): Promise<Writer> {
  if (typeof teacher === 'string') return localWriter(teacher, writing, context);
  return endpointWriter({ ...teacher, apiKey }, writing, context);
}

async function realTextMeasure(
  { realText }: SynthesisConfig,
  { tokenizer, training }: Student,
  context: Context,
) {
  return realText && realTextOf(await localFiles(realText, context), tokenizer, training.sequence);
}

/** In an order that the seed and each text decide. @throws CommandError for a text that is held out as well */
async function seedDocuments(
  { seeds, heldOut, seed }: SynthesisConfig,
  context: Context,
): Promise<readonly Document[]> {
  const scored = await heldOutTexts(await localFiles(heldOut, context));
  const documents: Document[] = [];
  for await (const document of readDocuments(await localFiles(seeds, context))) {
    if (scored.has(document.text.trim())) {
      throw new CommandError({
        where: document.id,
        what: 'a seed document is held out as well, so its score would say nothing',
        got: document.text.slice(0, 80),
        hint: 'frugal data split keeps copies of a text on one side.',
      });
    }
    documents.push(document);
  }
  if (documents.length === 0)
    throw new CommandError({ where: seeds.join(', '), what: 'the seed files hold no text' });
  return documents
    .map((document) => ({ document, rank: textFraction(`${seed} ${document.text}`) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ document }) => document);
}

/** Questions of conversations, or whole texts. */
async function heldOutTexts(files: readonly string[]): Promise<ReadonlySet<string>> {
  const data = await readTuningData(files);
  const texts =
    data.kind === 'text'
      ? data.documents.map(({ text }) => text)
      : data.examples.flatMap(({ messages }) =>
          messages.flatMap(({ role, content }) =>
            role === 'user' && typeof content === 'string' ? [content] : [],
          ),
        );
  return new Set(texts.map((text) => text.trim()));
}

/** What was written to a file, or is written to it now. */
async function writtenOnce(file: string, write: () => Promise<Candidate[]>): Promise<readonly Candidate[]> {
  if (!(await exists(file))) {
    const candidates = await write();
    await mkdir(dirname(file), { recursive: true });
    await saveJsonLines(file, async (line) => {
      for (const candidate of candidates) await line(candidate);
    });
    return candidates;
  }
  const candidates: Candidate[] = [];
  for await (const { value } of readRecords(file)) candidates.push(value as Candidate);
  return candidates;
}

/** What a loop needs to go on after its last round that was kept. */
interface Saved {
  /** Nats per token before the first round. */
  readonly before: number;
  readonly progress: SyntheticProgress;
}

class SavedProgress {
  constructor(private readonly file: string) {}

  async read(): Promise<Saved | undefined> {
    return (await exists(this.file)) ? (JSON.parse(await readFile(this.file, 'utf8')) as Saved) : undefined;
  }

  write(saved: Saved): Promise<void> {
    return saveFile(this.file, JSON.stringify(saved));
  }
}

function withoutUndefined<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
