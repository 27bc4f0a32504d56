import type { JsonObject } from '../file/json.js';
import { createPretokenizer, pretokenize } from '../text/pretokenize.js';
import { GGUF_PRETOKENIZERS, type GgufPretokenizer, ggufPretokenizer } from './pretokenizers.js';
import { PROBE_TEXT } from './probe-text.js';

/** How a tokenizer cuts text, as far as GGUF can say it. */
export interface Cutting {
  readonly preTokenizer: JsonObject | null;
  readonly ignoreMerges: boolean;
  readonly composes: boolean;
}

/**
 * The name in `tokenizer.ggml.pre` of a pre-tokenizer that cuts as this one does; undefined when there is none. They are
 * compared by what they do to a text in which they all differ, as the same cuts are written in many ways.
 */
export function ggufPretokenizerName({ preTokenizer, ignoreMerges, composes }: Cutting): string | undefined {
  const wanted = wordsOf(preTokenizer);
  const fits = GGUF_PRETOKENIZERS.filter((name) => {
    const known = ggufPretokenizer(name) as GgufPretokenizer;
    return (known.ignoreMerges ?? false) === ignoreMerges && wordsOf(known.json) === wanted;
  });
  // A name that also stands for composition is best for a tokenizer that composes, and wrong for others.
  const composing = (name: string) => (ggufPretokenizer(name) as GgufPretokenizer).composes ?? false;
  return (
    fits.find((name) => name !== 'default' && composing(name) === composes) ??
    (composes ? fits[0] : undefined)
  );
}

function wordsOf(preTokenizer: JsonObject | null): string {
  const { steps } = createPretokenizer(preTokenizer, 'pre_tokenizer', false);
  const words: string[] = [];
  pretokenize(steps, PROBE_TEXT, true, (word) => words.push(word));
  return JSON.stringify(words);
}
