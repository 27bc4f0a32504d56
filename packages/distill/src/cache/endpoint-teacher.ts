import type { StoredDistributions } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { EndpointError } from './errors.js';
import type { TeacherSource } from './teacher-cache.js';
import { TokenNames, type TokenTexts } from './token-names.js';

export interface EndpointOptions {
  /** Up to and with `/v1`. */
  readonly url: string;
  readonly model: string;
  readonly apiKey?: string;
  /** At most what the endpoint gives: often 5 or 20. */
  readonly topK: number;
  /** Of the teacher: ids are sent, and names of tokens come back. */
  readonly tokenizer: TokenTexts;
  /**
   * `echo`: one request per sequence gives what is predicted after each of its tokens (vLLM); `prefix`: one request per
   * token, for endpoints that speak of new tokens only. Default: `echo` where the endpoint can.
   */
  readonly mode?: 'echo' | 'prefix';
  readonly signal?: AbortSignal;
  /** Attempts for each request when the endpoint is busy or gone. Default 4. */
  readonly attempts?: number;
}

const responseSchema = z.object({
  choices: z
    .array(
      z.object({
        logprobs: z.object({ top_logprobs: z.array(z.record(z.string(), z.number()).nullable()) }).nullish(),
      }),
    )
    .min(1),
});

type TopProbabilities = Readonly<Record<string, number>>;

/**
 * Any endpoint of OpenAI's `/completions` that takes token ids and returns `logprobs` as the teacher that fills a cache.
 * Its probabilities are of temperature 1.
 */
export function endpointTeacher(options: EndpointOptions): TeacherSource {
  const names = new TokenNames(options.tokenizer);
  let mode = options.mode;
  return async (sequences) => {
    const found: StoredDistributions[] = [];
    for (const sequence of sequences) {
      const echoed = mode === 'prefix' ? null : await echo(sequence, options);
      if (!echoed && mode === 'echo') throw unable('the endpoint does not repeat the prompt with logprobs');
      mode ??= echoed ? 'echo' : 'prefix';
      const rows = echoed ?? (await prefixes(sequence, options));
      found.push(distributionsOf(rows, names, options.topK));
    }
    return found;
  };
}

/** What is predicted after each token, or null when the endpoint cannot say. */
async function echo(sequence: Int32Array, options: EndpointOptions): Promise<TopProbabilities[] | null> {
  const response = await complete({ prompt: [...sequence], echo: true }, options, [400, 422]);
  const top = response?.choices[0].logprobs?.top_logprobs;
  // Entry i is about token i itself: the first has nothing before it, and the new token stands behind the prompt.
  const rows = top?.slice(1, sequence.length + 1);
  return rows?.length === sequence.length && rows.every((row) => row !== null) ? rows : null;
}

async function prefixes(sequence: Int32Array, options: EndpointOptions): Promise<TopProbabilities[]> {
  const rows: TopProbabilities[] = [];
  for (let length = 1; length <= sequence.length; length++) {
    const response = await complete({ prompt: [...sequence.subarray(0, length)] }, options);
    const row = response?.choices[0].logprobs?.top_logprobs[0];
    if (!row) throw unable('the endpoint returns no logprobs');
    rows.push(row);
  }
  return rows;
}

/** One new token after a prompt, with its alternatives; null for a status in `declined`. @throws EndpointError */
async function complete(
  body: object,
  { url, model, apiKey, topK, signal, attempts = 4 }: EndpointOptions,
  declined: readonly number[] = [],
): Promise<z.infer<typeof responseSchema> | null> {
  const fixed = { model, max_tokens: 1, temperature: 0, logprobs: topK };
  for (let attempt = 1; ; attempt++) {
    const outcome = await fetch(`${url.replace(/\/$/, '')}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify({ ...fixed, ...body }),
      ...(signal && { signal }),
    }).catch((cause: Error) => cause);
    signal?.throwIfAborted();
    if (outcome instanceof Response && outcome.ok) return parse(await outcome.json());
    if (outcome instanceof Response && declined.includes(outcome.status)) return null;
    const isPassing = !(outcome instanceof Response) || outcome.status === 429 || outcome.status >= 500;
    if (!isPassing || attempt >= attempts) throw await failure(url, outcome);
    await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
  }
}

function parse(json: unknown): z.infer<typeof responseSchema> {
  const parsed = responseSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw unable('the answer is not that of a completions endpoint', z.prettifyError(parsed.error));
}

async function failure(url: string, outcome: Response | Error): Promise<EndpointError> {
  const isError = outcome instanceof Error;
  return new EndpointError({
    where: url,
    what: isError ? 'the endpoint cannot be reached' : 'the endpoint refuses',
    got: isError ? outcome.message : `${outcome.status} ${(await outcome.text()).slice(0, 200)}`,
    ...(isError && { cause: outcome }),
  });
}

function unable(what: string, got?: string): EndpointError {
  return new EndpointError({
    where: 'endpoint',
    what,
    ...(got !== undefined && { got }),
    hint: 'It must offer /completions with token ids as prompt, and logprobs.',
  });
}

/** The k likeliest of each row and the rest. */
function distributionsOf(
  rows: readonly TopProbabilities[],
  names: TokenNames,
  topK: number,
): StoredDistributions {
  const indices = new Int32Array(rows.length * topK);
  const logs = new Float32Array(rows.length * (topK + 1));
  for (const [row, top] of rows.entries()) {
    const likeliest = Object.entries(top)
      .map(([name, log]) => ({ id: names.idOf(name), log }))
      .filter(({ id, log }) => id !== undefined && Number.isFinite(log))
      .sort((a, b) => b.log - a.log)
      .slice(0, topK);
    if (likeliest.length === 0)
      throw unable('none of the names of tokens is known', Object.keys(top).join(' '));
    const known = new Set(likeliest.map(({ id }) => id));
    for (let k = 0; k < topK; k++) {
      const entry = likeliest[k] ?? { id: names.unusedId(known), log: Number.NEGATIVE_INFINITY };
      known.add(entry.id);
      indices[row * topK + k] = entry.id as number;
      logs[row * (topK + 1) + k] = Math.min(0, entry.log);
    }
    logs[row * (topK + 1) + topK] = remainderOf(likeliest.map(({ log }) => log));
  }
  return { topK, indices, logs };
}

/** log(1 - Σ p); what rounding makes of nothing is a tiny rest. */
function remainderOf(logs: readonly number[]): number {
  const rest = 1 - logs.reduce((sum, log) => sum + Math.exp(log), 0);
  return Math.log(Math.max(rest, 1e-7));
}
