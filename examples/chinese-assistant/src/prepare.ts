import {
  ContaminationIndex,
  cleanDocument,
  type Document,
  deduplicate,
  type FilterCounts,
  filterDocuments,
  splitByHash,
  textFraction,
} from '@frugal/data';
import type { MultipleChoiceItem } from '@frugal/eval';
import { loadCorpus } from '@frugal/example-pretrain-distill-deploy/corpus';
import { type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { examOf, readExam } from './exam.js';
import { documentOf, type Idiom, readIdioms } from './idioms.js';
import { HELD_OUT, type Settings } from './settings.js';

/** Documents before and after each step, and why they went. */
export type Steps = ReadonlyMap<string, FilterCounts>;

export interface Prepared {
  readonly steps: Steps;
  readonly tokenizer: Tokenizer;
  /** Token streams to train on. */
  readonly general: Int32Array;
  readonly domain: Int32Array;
  /** Texts that nothing was trained on. */
  readonly heldOut: { readonly general: readonly string[]; readonly domain: readonly string[] };
  /** Idioms whose entries are in the training text. */
  readonly seeds: readonly Idiom[];
  readonly practice: readonly MultipleChoiceItem[];
  readonly exam: readonly MultipleChoiceItem[];
  /** The exam in C-Eval's layout. */
  readonly examFile: string;
}

/** Cleans the dictionary, splits it, makes exams of the held-out part, and drops what would give their answers away. */
export async function prepare(file: string, settings: Settings): Promise<Prepared> {
  const idioms = readIdioms(file, settings.entries);
  const byId = new Map(idioms.map((idiom) => [documentOf(idiom).id, idiom]));
  const idiomOf = ({ id }: Document) => byId.get(id) as Idiom;
  const steps = new Map<string, FilterCounts>();
  const filter = async (name: string, documents: readonly Document[], judge: Judge) => {
    const kept: Document[] = [];
    steps.set(
      name,
      await filterDocuments(documents, {
        judge,
        onKept: async (document) => {
          kept.push(document);
        },
      }),
    );
    return kept;
  };

  // Entries are shorter than pages of the web, which the rule against short texts is made for.
  const cleaning = { languages: ['zh'], without: ['too few characters'] } as const;
  const clean = await filter('clean', idioms.map(documentOf), (document) =>
    cleanDocument(document, cleaning),
  );
  const copies = await copiesOf(clean);
  const distinct = await filter('without copies', clean, (document, position) =>
    copies.originalOf(position) === position ? { keep: document } : { reason: 'copy' },
  );
  const split = splitByHash(distinct, HELD_OUT);
  const { practice, exam, examFile } = examsOf(split.heldOut.map(idiomOf), settings);
  const answers = [...practice, ...exam].map(({ id, choices, answer }) => ({ id, text: choices[answer] }));
  const leaks = new ContaminationIndex(answers, { length: 10, least: 8 });
  const train = await filter('without answers of the exams', split.train, (document) =>
    leaks.find(document.text) === undefined ? { keep: document } : { reason: 'answer of an exam' },
  );

  const chapters = splitByHash(
    (await loadCorpus()).filter(({ label }) => label === 'Chinese'),
    HELD_OUT,
  );
  const tokenizer = trainByteLevelBpe(
    [...chapters.train, ...train].map(({ text }) => text),
    { vocabularySize: settings.vocabularySize, specialTokens: ['<|endoftext|>'] },
  );
  return {
    steps,
    tokenizer,
    general: streamOf(chapters.train, tokenizer),
    domain: streamOf(shuffled(train), tokenizer),
    heldOut: {
      general: beginnings(chapters.heldOut, settings.evaluationBytes),
      domain: beginnings(
        shuffled(split.heldOut).slice(0, settings.evaluationBytes / 100),
        settings.evaluationBytes,
      ),
    },
    seeds: shuffled(train).map(idiomOf),
    practice,
    exam,
    examFile,
  };
}

type Judge = Parameters<typeof filterDocuments>[1]['judge'];

function copiesOf(documents: readonly Document[]) {
  const texts = documents.map(({ text }) => text);
  // Entries are short: what is an idiom in two spellings shares seven tenths of its runs.
  return deduplicate(() => texts, { shingle: 3, threshold: 0.7 });
}

/** Two exams of different idioms, whose explanations are long enough to tell them apart. */
function examsOf(idioms: readonly Idiom[], { practice, exam }: Settings) {
  const usable = idioms.filter(({ explanation }) => explanation.length >= 8);
  const ordered = [...usable].sort((a, b) => textFraction(a.word) - textFraction(b.word));
  const examFile = examOf(ordered.slice(practice, practice + exam));
  return { practice: readExam(examOf(ordered.slice(0, practice))), exam: readExam(examFile), examFile };
}

/** An order that has nothing to do with the alphabet, and is always the same. */
function shuffled(documents: readonly Document[]): Document[] {
  const key = ({ text }: Document) => textFraction(`order ${text}`);
  return [...documents].sort((a, b) => key(a) - key(b));
}

function streamOf(documents: readonly Document[], tokenizer: Tokenizer): Int32Array {
  const parts = documents.map(({ text }) => [
    tokenizer.eosIds[0],
    ...tokenizer.encode(text, { addSpecialTokens: false }),
  ]);
  return Int32Array.from(parts.flat());
}

/** Each document cut to the same share of the bytes. */
function beginnings(documents: readonly Document[], bytes: number): string[] {
  const share = Math.floor(bytes / documents.length);
  return documents.map(({ text }) =>
    Buffer.from(text)
      .subarray(0, share)
      .toString('utf8')
      .replace(/\uFFFD+$/, ''),
  );
}
