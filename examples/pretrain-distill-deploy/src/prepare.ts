import { type Document, openDataset, packDocuments, splitByHash, type TokenDataset } from '@frugal/data';
import { loadTokenizer, saveTokenizer, type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { languages, loadCorpus } from './corpus.js';
import type { RunDirectory } from './run-directory.js';
import type { Settings } from './settings.js';

/** What all trainings share. */
export interface Prepared {
  readonly tokenizer: Tokenizer;
  readonly training: TokenDataset;
  /** Texts that nothing was trained on, by language. */
  readonly heldOut: ReadonlyMap<string, readonly string[]>;
}

/** Splits the corpus, trains a tokenizer on the training side, and packs it. */
export async function prepare(
  settings: Pick<Settings, 'heldOut' | 'vocabularySize' | 'evaluationBytes'>,
  run: RunDirectory,
): Promise<Prepared> {
  const { train, heldOut } = splitByHash(await loadCorpus(), settings.heldOut);
  if (!run.has('tokenizer')) {
    const texts = train.map(({ text }) => text);
    const trained = trainByteLevelBpe(texts, {
      vocabularySize: settings.vocabularySize,
      specialTokens: ['<|endoftext|>'],
    });
    await saveTokenizer(trained, run.file('tokenizer'));
  }
  const tokenizer = await loadTokenizer(run.file('tokenizer'));
  if (!run.has('data')) {
    await packDocuments(shuffled(train), tokenizer, run.file('data'), { separatorId: tokenizer.eosIds[0] });
  }
  const training = await openDataset(run.file('data'), { tokenizer });
  return {
    tokenizer,
    training,
    heldOut: new Map(
      languages.map((label) => [label, evaluationTexts(heldOut, label, settings.evaluationBytes)]),
    ),
  };
}

/** A fixed order that mixes the languages. */
function shuffled(documents: readonly Document[]): Document[] {
  return [...documents].sort((a, b) => (reverse(a.id) < reverse(b.id) ? -1 : 1));
}

function reverse(text: string): string {
  return [...text].reverse().join('');
}

/** Held-out documents of one language, each cut to the same share of the bytes. */
function evaluationTexts(documents: readonly Document[], label: string, bytes: number): string[] {
  const texts = documents.filter((document) => document.label === label).map(({ text }) => text);
  const share = Math.floor(bytes / texts.length);
  return texts.map((text) =>
    Buffer.from(text)
      .subarray(0, share)
      .toString('utf8')
      .replace(/\uFFFD+$/, ''),
  );
}
