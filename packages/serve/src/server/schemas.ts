import { z } from 'zod';

/** Text that survives UTF-8: JSON escapes can smuggle in half a surrogate pair. */
const text = z
  .string()
  .refine((value) => value.isWellFormed(), 'expected valid Unicode, found half a surrogate pair');
const count = z.int().min(1);
const tokenIds = z.array(z.int().min(0)).min(1);

/**
 * Parameters of OpenAI's that we do not have yet, which many clients send with the value that changes nothing. That
 * value is accepted; any other is refused, never ignored.
 */
export const neutralOnly = {
  response_format: z.strictObject({ type: z.literal('text') }).nullish(),
  store: z.literal(false).nullish(),
  best_of: z.literal(1).nullish(),
  echo: z.literal(false).nullish(),
  suffix: z.null().optional(),
};

const generation = {
  model: z.string().min(1),
  max_tokens: count.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  /** Not in OpenAI's API, but in that of most servers of open models. 0: all tokens. */
  top_k: z.int().min(0).nullish(),
  /** The same of these two. Only tokens at least this likely beside the most likely one. */
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z.record(z.string().regex(/^\d+$/), z.number().min(-100).max(100)).nullish(),
  seed: z.int().min(0).nullish(),
  n: count.max(8).nullish(),
  stop: z.union([text.min(1).max(256), z.array(text.min(1).max(256)).max(4)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish() }).nullish(),
};

const textPart = z.strictObject({ type: z.literal('text'), text });

const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([text, z.array(textPart).min(1)]),
});

export const chatCompletionBody = z
  .strictObject({
    ...generation,
    messages: z.array(message).min(1),
    max_completion_tokens: count.nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(20).nullish(),
    response_format: neutralOnly.response_format,
    store: neutralOnly.store,
  })
  .check(streamOptionsNeedStream, (context) => {
    const { max_tokens: old, max_completion_tokens: current, logprobs, top_logprobs: top } = context.value;
    if (old != null && current != null && old !== current) {
      complain(context, 'max_tokens', 'differs from max_completion_tokens: send one of them');
    }
    if (top != null && !logprobs) complain(context, 'top_logprobs', 'needs logprobs: true');
  });

export const completionBody = z
  .strictObject({
    ...generation,
    prompt: z.union([text, tokenIds, z.array(text).min(1).max(16), z.array(tokenIds).min(1).max(16)]),
    logprobs: z.int().min(0).max(5).nullish(),
    best_of: neutralOnly.best_of,
    echo: neutralOnly.echo,
    suffix: neutralOnly.suffix,
  })
  .check(streamOptionsNeedStream);

export type ChatCompletionBody = z.infer<typeof chatCompletionBody>;
export type CompletionBody = z.infer<typeof completionBody>;

type Context<T> = z.core.ParsePayload<T>;

function streamOptionsNeedStream(
  context: Context<{ stream?: boolean | null; stream_options?: unknown }>,
): void {
  if (context.value.stream_options != null && !context.value.stream) {
    complain(context, 'stream_options', 'needs stream: true');
  }
}

function complain<T>(context: Context<T>, param: string, message: string): void {
  context.issues.push({ code: 'custom', input: undefined, path: [param], message });
}
