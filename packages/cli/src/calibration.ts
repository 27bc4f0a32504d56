import type { CompressOptions } from '@frugal/compress';
import { readDocuments } from '@frugal/data';
import { skeleton } from '@frugal/models';
import type { Tokenizer } from '@frugal/tokenizers';
import { withCheckpoint } from './checkpoint.js';
import { namedFile } from './domains.js';
import { CommandError, UsageError } from './errors.js';
import { openTokenizer } from './model.js';

/** Tokens of a calibration sequence, where the model takes as many. */
const SEQUENCE = 512;
/** Below this nothing can be said of a layer. */
const FEWEST_TOKENS = 64;

export interface SequenceOptions {
  readonly tokens: number;
  /** Tokens of a sequence. */
  readonly length: number;
}

/** Texts for the model at `path`, in its own tokens. @throws CommandError for texts that are too short */
export async function calibrationFor(
  path: string,
  files: readonly string[],
  tokens: number,
): Promise<Int32Array[]> {
  const tokenizer = await openTokenizer(path);
  const { contextLength } = skeleton(await withCheckpoint(path, async ({ config }) => config));
  return readSequences(files, tokenizer, { tokens, length: Math.min(SEQUENCE, contextLength) });
}

/** Texts of several kinds for the model at `path`, told apart where the files are given as `NAME=FILE`. */
export async function namedCalibration(
  path: string,
  inputs: readonly string[],
  tokens: number,
): Promise<Pick<CompressOptions, 'calibration' | 'calibrationDomains'>> {
  const files = new Map<string | undefined, string[]>();
  for (const input of inputs) {
    const { name, file } = namedFile(input, '--calibration');
    files.set(name, [...(files.get(name) ?? []), file]);
  }
  const unnamed = files.get(undefined);
  if (files.size === 1 && unnamed) return { calibration: await calibrationFor(path, unnamed, tokens) };
  if (unnamed) {
    throw new UsageError({
      where: '--calibration',
      what: 'some files have a name and others have none',
      got: unnamed.join(', '),
      expected: 'NAME=FILE for all of them, or for none',
    });
  }
  const calibration: Int32Array[] = [];
  const calibrationDomains: string[] = [];
  for (const [name = '', own] of files) {
    const sequences = await calibrationFor(path, own, Math.ceil(tokens / files.size));
    calibration.push(...sequences);
    calibrationDomains.push(...sequences.map(() => name));
  }
  return { calibration, calibrationDomains };
}

/**
 * Sequences of text for calibration, until there are enough tokens: first the beginnings of documents, then, when these
 * run out, what follows in them.
 * @throws CommandError for texts that are too short
 */
async function readSequences(
  files: readonly string[],
  tokenizer: Pick<Tokenizer, 'encode'>,
  options: SequenceOptions,
): Promise<Int32Array[]> {
  const { tokens, length } = options;
  const texts: string[] = [];
  const first: Int32Array[] = [];
  let used = 0;
  for await (const { text } of readDocuments(files)) {
    if (used >= tokens) break;
    const sequence = tokenizer.encode(text.slice(0, 16 * length)).slice(0, length);
    if (sequence.length < 2) continue;
    texts.push(text);
    first.push(sequence);
    used += sequence.length;
  }
  const later = used < tokens ? laterWindows(texts, tokenizer, { tokens: tokens - used, length }) : [];
  const sequences = [...first, ...later];
  const total = sequences.reduce((sum, sequence) => sum + sequence.length, 0);
  if (total >= Math.min(FEWEST_TOKENS, tokens)) return sequences;
  throw new CommandError({
    where: '--calibration',
    what: 'the text is too short',
    got: `${total} tokens in ${files.join(', ')}`,
    expected: `at least ${FEWEST_TOKENS}, better ten thousand or more`,
  });
}

/** The windows after the first of each text, in turns. */
function laterWindows(
  texts: readonly string[],
  tokenizer: Pick<Tokenizer, 'encode'>,
  { tokens, length }: SequenceOptions,
): Int32Array[] {
  const share = Math.ceil(tokens / Math.max(1, texts.length));
  const windows = texts.map((text) => {
    // One character in sixteen tokens would be a strange text: enough is encoded for what is wanted.
    const ids = tokenizer.encode(text.slice(0, 16 * (length + texts.length * share)));
    const own: Int32Array[] = [];
    for (let start = length; start + 1 < ids.length; start += length)
      own.push(ids.slice(start, start + length));
    return own;
  });
  const chosen: Int32Array[] = [];
  let left = tokens;
  for (let round = 0; left > 0 && windows.some((own) => round < own.length); round++)
    for (const own of windows) {
      const window = own[round];
      if (!window || left <= 0) continue;
      chosen.push(window);
      left -= window.length;
    }
  return chosen;
}

/** Every so many-th sequence apart from the others, so that both are of the same kind and `share` of all is held out. */
export function holdOut(
  sequences: readonly Int32Array[],
  share: number,
): { readonly kept: Int32Array[]; readonly heldOut: Int32Array[] } {
  const kept: Int32Array[] = [];
  const heldOut: Int32Array[] = [];
  for (const [i, sequence] of sequences.entries())
    (Math.floor((i + 1) * share) > Math.floor(i * share) ? heldOut : kept).push(sequence);
  return { kept, heldOut };
}
