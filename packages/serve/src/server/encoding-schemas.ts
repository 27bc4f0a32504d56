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
  input,
  /** vLLM's: so many tokens are left of a longer text; -1: as many as the model reads. Else longer ones are refused. */
  truncate_prompt_tokens: z.union([z.literal(-1), z.int().min(1)]).nullish(),
  priority: z.int().nullish(),
  ...asker,
};

export const embeddingBody = z.strictObject({
  ...shared,
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).nullish(),
});

export const classifyBody = z.strictObject({
  ...shared,
  /** vLLM's. False: scores as they come, instead of probabilities. */
  use_activation: z.boolean().nullish(),
});

export type EmbeddingBody = z.infer<typeof embeddingBody>;
export type ClassifyBody = z.infer<typeof classifyBody>;
