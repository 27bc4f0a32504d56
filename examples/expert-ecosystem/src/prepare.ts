import { type Document, splitByHash } from '@frugal/data';
import { type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { addedDomain, firstDomains, loadDomains } from './corpus.js';
import { HELD_OUT, type Settings } from './settings.js';

/** One domain, ready for training and scoring. */
export interface Domain {
  readonly name: string;
  /** All training documents, one after the other. */
  readonly tokens: Int32Array;
  /** Sequences of training text for the gates. */
  readonly gate: readonly Int32Array[];
  /** Texts that nothing was trained on. */
  readonly heldOut: readonly string[];
}

export interface Prepared {
  readonly tokenizer: Tokenizer;
  readonly first: readonly Domain[];
  readonly added: Domain;
}

/** Splits every domain and trains one tokenizer on the first ones: the later one must live with it. */
export async function prepare(settings: Settings): Promise<Prepared> {
  const splits = new Map(
    [...(await loadDomains())].map(([name, documents]) => [name, splitByHash(documents, HELD_OUT)]),
  );
  const seen = firstDomains.flatMap((name) => splits.get(name)?.train.map(({ text }) => text) ?? []);
  const tokenizer = trainByteLevelBpe(seen, {
    vocabularySize: settings.vocabularySize,
    specialTokens: ['<|endoftext|>'],
  });
  const domain = (name: string): Domain => {
    const { train, heldOut } = splits.get(name) as ReturnType<typeof splitByHash>;
    const tokens = encodeAll(train, tokenizer);
    return { name, tokens, gate: windows(tokens, settings), heldOut: beginnings(heldOut, settings) };
  };
  return { tokenizer, first: firstDomains.map(domain), added: domain(addedDomain) };
}

function encodeAll(documents: readonly Document[], tokenizer: Tokenizer): Int32Array {
  const parts = documents.map(({ text }) => [
    tokenizer.eosIds[0],
    ...tokenizer.encode(text, { addSpecialTokens: false }),
  ]);
  return Int32Array.from(parts.flat());
}

/** Windows spread over the whole stream. */
function windows(tokens: Int32Array, { gateTokens, sequence }: Settings): Int32Array[] {
  const count = Math.floor(gateTokens / sequence);
  const stride = Math.floor((tokens.length - sequence) / count);
  return Array.from({ length: count }, (_, i) => tokens.slice(i * stride, i * stride + sequence));
}

/** Each document cut to the same share of the bytes. */
function beginnings(documents: readonly Document[], { evaluationBytes }: Settings): string[] {
  const share = Math.floor(evaluationBytes / documents.length);
  return documents.map(({ text }) =>
    Buffer.from(text)
      .subarray(0, share)
      .toString('utf8')
      .replace(/\uFFFD+$/, ''),
  );
}
