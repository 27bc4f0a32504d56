import { z } from 'zod';

/** Text that survives UTF-8: JSON escapes can smuggle in half a surrogate pair. */
export const text = z
  .string()
  .refine((value) => value.isWellFormed(), 'expected valid Unicode, found half a surrogate pair');
const count = z.int().min(1);
export const tokenIds = z.array(z.int().min(0)).min(1);

/**
 * Parameters of OpenAI's that we do not have yet, which many clients send with the value that changes nothing. That
 * value is accepted; any other is refused, never ignored.
 */
export const neutralOnly = {
  store: z.literal(false).nullish(),
  best_of: z.literal(1).nullish(),
  echo: z.literal(false).nullish(),
  suffix: z.null().optional(),
  modalities: z.tuple([z.literal('text')]).nullish(),
  service_tier: z.enum(['auto', 'default']).nullish(),
};

/** Who asks, for the caller's own records: no answer depends on it. */
export const asker = { user: text.nullish() };

/** OpenAI's, and two of our own: `regex` and `grammar` (GBNF). */
const responseFormat = z.discriminatedUnion(
  'type',
  [
    z.strictObject({ type: z.literal('text') }),
    z.strictObject({ type: z.literal('json_object') }),
    z.strictObject({
      type: z.literal('json_schema'),
      json_schema: z.strictObject({
        name: z.string().regex(/^[\w-]{1,64}$/, 'expected letters, digits, _ and -, at most 64'),
        description: text.nullish(),
        schema: z.record(z.string(), z.unknown()),
        /** A schema is always kept, not only when it is said to be strict. */
        strict: z.boolean().nullish(),
      }),
    }),
    z.strictObject({ type: z.literal('regex'), pattern: text }),
    z.strictObject({ type: z.literal('grammar'), grammar: text }),
  ],
  {
    error: ({ code }) =>
      code === 'invalid_union' ? 'expected text, json_object, json_schema, regex or grammar' : undefined,
  },
);

const generation = {
  ...asker,
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
  /** vLLM's: lower goes first. */
  priority: z.int().nullish(),
  seed: z.int().min(0).nullish(),
  n: count.max(8).nullish(),
  stop: z.union([text.min(1).max(256), z.array(text.min(1).max(256)).max(4)]).nullish(),
  response_format: responseFormat.nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().nullish(),
      include_obfuscation: z.literal(false).nullish(),
    })
    .nullish(),
  service_tier: neutralOnly.service_tier,
};

const textPart = z.strictObject({ type: z.literal('text'), text });

const content = z.union([text, z.array(textPart).min(1)]);

const toolCall = z.strictObject({
  id: z.string().min(1),
  type: z.literal('function'),
  function: z.strictObject({
    name: z.string().min(1),
    arguments: text.refine(isJsonObject, 'expected the JSON of an object'),
  }),
});

const message = z.discriminatedUnion(
  'role',
  [
    z.strictObject({ role: z.enum(['system', 'developer', 'user']), content }),
    z
      .strictObject({
        role: z.literal('assistant'),
        content: content.nullish(),
        refusal: z.null().optional(),
        tool_calls: z.array(toolCall).min(1).nullish(),
      })
      .refine(({ content, tool_calls: calls }) => content != null || calls != null, {
        message: 'expected content or tool_calls',
        path: ['content'],
      }),
    z.strictObject({ role: z.literal('tool'), content, tool_call_id: z.string().min(1) }),
  ],
  {
    error: ({ code }) =>
      code === 'invalid_union' ? 'expected system, developer, user, assistant or tool' : undefined,
  },
);

const tool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({
    name: z.string().regex(/^[\w-]{1,64}$/, 'expected letters, digits, _ and -, at most 64'),
    description: text.nullish(),
    parameters: z
      .record(z.string(), z.unknown())
      .refine(({ type = 'object' }) => type === 'object', 'expected a schema of objects')
      .nullish(),
    /** Whether its arguments are kept to the schema where the model is free to call it or not. */
    strict: z.boolean().nullish(),
  }),
});

const chatFields = z.strictObject({
  ...generation,
  messages: z.array(message).min(1),
  max_completion_tokens: count.nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  /** OpenAI's newer name of `user`. */
  safety_identifier: text.nullish(),
  store: neutralOnly.store,
  modalities: neutralOnly.modalities,
  tools: z.array(tool).min(1).max(128).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
});

export const chatCompletionBody = chatFields.check(streamOptionsNeedStream, (context) => {
  const { max_tokens: old, max_completion_tokens: current, logprobs, top_logprobs: top } = context.value;
  if (old != null && current != null && old !== current) {
    complain(context, 'max_tokens', 'differs from max_completion_tokens: send one of them');
  }
  if (top != null && !logprobs) complain(context, 'top_logprobs', 'needs logprobs: true');
  checkTools(context);
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

function isJsonObject(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function checkTools(context: Context<z.infer<typeof chatFields>>): void {
  const { tools, tool_choice: choice, response_format: format } = context.value;
  const names = tools?.map((tool) => tool.function.name) ?? [];
  if (new Set(names).size < names.length) complain(context, 'tools', 'has two functions of one name');
  if (choice == null || choice === 'none') {
    if (tools && choice !== 'none' && format && format.type !== 'text') {
      complain(context, 'response_format', 'does not go with tools: an answer is either');
    }
    return;
  }
  if (!tools) complain(context, 'tool_choice', 'needs tools');
  else if (typeof choice === 'object' && !names.includes(choice.function.name)) {
    complain(context, 'tool_choice', 'names a function that is not among the tools');
  }
  if (format && format.type !== 'text') {
    complain(context, 'response_format', 'does not go with tools: an answer is either');
  }
}

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
