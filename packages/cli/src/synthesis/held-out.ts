import { encodeDocument, readDocuments, readTuningData, type TokenExample } from '@frugal/data';
import { type PairedDifference, pairedBootstrap, perplexity } from '@frugal/eval';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { targetLogProbs } from '@frugal/trainer';
import { CommandError } from '../errors.js';
import { encodeConversations } from '../training/tuning-batches.js';

/** What the answers, or the text, of one held-out example cost. */
export interface Cost {
  readonly nats: number;
  readonly tokens: number;
}

/** Tokens in one forward pass. */
const STEP = 2048;

/** Real examples that no model learns from. @throws DataError, CommandError for fewer than two */
export async function heldOutExamples(
  files: readonly string[],
  tokenizer: Tokenizer,
  length: number,
): Promise<readonly TokenExample[]> {
  const data = await readTuningData(files);
  const examples =
    data.kind === 'chat'
      ? encodeConversations(data.examples, tokenizer, length).kept
      : data.documents.flatMap(({ text }) => textExample(encodeDocument(tokenizer, text).slice(0, length)));
  if (examples.length >= 2) return examples;
  throw new CommandError({
    where: files.join(', '),
    what: 'too few held-out examples for a confidence interval',
    got: String(examples.length),
    expected: 'at least 2 with an answer, or with text of two tokens',
  });
}

function textExample(tokens: Int32Array): TokenExample[] {
  if (tokens.length < 2) return [];
  const targets = new Int32Array(tokens.length).fill(-100);
  targets.set(tokens.subarray(1));
  return [{ tokens, targets }];
}

export async function costsOf(model: CausalLM, examples: readonly TokenExample[]): Promise<Cost[]> {
  const costs: Cost[] = [];
  for (let start = 0; start < examples.length; ) {
    let end = start;
    for (let tokens = 0; end < examples.length && tokens < STEP; end++) tokens += examples[end].tokens.length;
    for (const logs of await targetLogProbs(model, examples.slice(start, end)))
      costs.push({ nats: -logs.reduce((sum, log) => sum + log, 0), tokens: logs.length });
    start = end;
  }
  return costs;
}

/** How many nats a token has become cheaper, over all examples. */
export function gainOf(before: readonly Cost[], after: readonly Cost[]): PairedDifference {
  return pairedBootstrap(
    before.map(({ nats, tokens }, i) => ({ first: nats, second: after[i].nats, weight: tokens })),
  );
}

/** Nats per token. */
export function meanCost(costs: readonly Cost[]): number {
  const total = (key: keyof Cost) => costs.reduce((sum, cost) => sum + cost[key], 0);
  return total('nats') / total('tokens');
}

/** Measures the perplexity of real text of another kind, which must not rise. */
export async function realTextOf(files: readonly string[], tokenizer: Tokenizer, context: number) {
  const texts: string[] = [];
  for await (const { text } of readDocuments(files)) texts.push(text);
  return async (model: CausalLM) => (await perplexity(model, tokenizer, texts, { context })).perplexity;
}
