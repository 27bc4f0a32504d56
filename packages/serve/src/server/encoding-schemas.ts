import { z } from 'zod';
import { asker, text, tokenIds } from './schemas.js';

/** As many texts as OpenAI takes at once. */
const mostInputs = 2048;

const isIds = (each: unknown): each is number => typeof each === 'number';

/** A text, its token ids, or several of either. */
const input = z.union([
  text,
  z
    .array(z.union([text, tokenIds, z.int().min(0)]))
    .min(1)
    .refine((all) => all.every(isIds) || all.length <= mostInputs, `expected at most ${mostInputs} texts`)
    .refine(
      (all) => new Set(all.map((each) => typeof each)).size === 1,
      'expected texts alone, or ids alone',
    ),
]);

const shared = {
  model: z.string().min(1),
  /** vLLM's: so many tokens are left of a longer text; -1: as many as the model reads. Else longer ones are refused. */
  truncate_prompt_tokens: z.union([z.literal(-1), z.int().min(1)]).nullish(),
  priority: z.int().nullish(),
  ...asker,
};

export const embeddingBody = z.strictObject({
  ...shared,
  input,
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).nullish(),
});

export const classifyBody = z.strictObject({
  ...shared,
  input,
  /** vLLM's. False: scores as they come, instead of probabilities. */
  use_activation: z.boolean().nullish(),
});

const texts = z.array(text).min(1).max(mostInputs);

/** vLLM's. One text is compared with each of the others, or each with the one in its place. */
export const scoreBody = z
  .strictObject({ ...shared, text_1: z.union([text, texts]), text_2: z.union([text, texts]) })
  .check((context) => {
    const { text_1: first, text_2: second } = context.value;
    const [m, n] = [first, second].map((each) => (typeof each === 'string' ? 1 : each.length));
    if (m === 1 || m === n) return;
    const message = `expected one text, or as many as text_2 has: ${n}`;
    context.issues.push({ code: 'custom', input: first, path: ['text_1'], message });
  });

/** Jina's and Cohere's. */
export const rerankBody = z.strictObject({
  ...shared,
  query: text,
  documents: z
    .array(z.union([text, z.strictObject({ text })]))
    .min(1)
    .max(mostInputs),
  /** So many of the best; default: all. */
  top_n: z.int().min(1).nullish(),
  return_documents: z.boolean().nullish(),
});

export type EmbeddingBody = z.infer<typeof embeddingBody>;
export type ClassifyBody = z.infer<typeof classifyBody>;
