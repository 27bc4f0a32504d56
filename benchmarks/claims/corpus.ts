import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type Document, splitByHash } from '@frugal/data';
import { type PairedScore, perplexity } from '@frugal/eval';
import { loadCorpus } from '@frugal/example-pretrain-distill-deploy/corpus';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';

const HELD_OUT = 1 / 12;

/** Of speeches that are scored. */
export const heldOutBytes = ({ quick }: { readonly quick: boolean }): number => (quick ? 6_000 : 90_000);

/** Speeches of the example's corpus: what calibration may see, and what is scored, cut to the same share of the bytes. */
export async function speeches(bytes: number): Promise<{ training: string[]; heldOut: string[] }> {
  const documents = (await loadCorpus()).filter(({ label }) => label === 'English');
  return split(documents, bytes);
}

/** Chapters of ICD-10-CM, from the example of mixed experts. */
export async function medicalTexts(
  root: string,
  bytes: number,
): Promise<{ training: string[]; heldOut: string[] }> {
  const file = join(root, 'examples/expert-ecosystem/data/icd-10-cm.json.gz');
  const sections = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as string[];
  return split(
    sections.map((text, i) => ({ id: `icd/${i}`, text })),
    bytes,
  );
}

function split(documents: readonly Document[], bytes: number) {
  const { train, heldOut } = splitByHash(documents, HELD_OUT);
  const share = Math.floor(bytes / heldOut.length);
  return {
    training: train.map(({ text }) => text),
    heldOut: heldOut.map(({ text }) =>
      Buffer.from(text)
        .subarray(0, share)
        .toString('utf8')
        .replace(/\uFFFD+$/, ''),
    ),
  };
}

/** Sequences for calibration: the beginnings of so many texts, spread over all. */
export function sequencesOf(
  texts: readonly string[],
  tokenizer: Pick<Tokenizer, 'encode'>,
  { count, length }: { readonly count: number; readonly length: number },
): Int32Array[] {
  const stride = Math.max(1, Math.floor(texts.length / count));
  return texts
    .filter((_, i) => i % stride === 0)
    .slice(0, count)
    .map((text) => tokenizer.encode(text.slice(0, 16 * length)).slice(0, length));
}

/** Bits of each document, and its bytes. */
export interface DocumentScore {
  readonly bits: number;
  readonly bytes: number;
}

export async function scoreDocuments(
  model: CausalLM,
  tokenizer: Tokenizer,
  texts: readonly string[],
  context: number,
): Promise<DocumentScore[]> {
  const scores: DocumentScore[] = [];
  for (const text of texts) {
    const { bitsPerByte, bytes } = await perplexity(model, tokenizer, text, { context });
    scores.push({ bits: bitsPerByte * bytes, bytes });
  }
  return scores;
}

export function bitsPerByte(scores: readonly DocumentScore[]): number {
  const total = (key: 'bits' | 'bytes') => scores.reduce((sum, score) => sum + score[key], 0);
  return total('bits') / total('bytes');
}

/** For `pairedBootstrap`: how much more the first costs than the second. */
export function paired(first: readonly DocumentScore[], second: readonly DocumentScore[]): PairedScore[] {
  return first.map(({ bits, bytes }, i) => ({ first: bits, second: second[i].bits, weight: bytes }));
}
