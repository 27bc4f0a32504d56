/** What one streamed answer took, in milliseconds from when it was due. */
export interface Outcome {
  /** HTTP status; 0: the connection failed; 600: the stream broke off. */
  readonly status: number;
  readonly firstToken: number;
  /** Between two pieces of text. */
  readonly gaps: readonly number[];
  readonly tokens: number;
  readonly end: number;
}

export interface Target {
  /** Of the API, such as `http://127.0.0.1:8080/`. */
  readonly url: string;
  readonly model: string;
  readonly key: string | undefined;
}

/**
 * Asks for one completion. Times count from `due`, when the request should have been sent: a client that is late must not
 * make the server look quick.
 */
export async function oneRequest(
  { url, model, key }: Target,
  body: { readonly prompt: string; readonly max_tokens: number; readonly seed: number },
  due: number,
): Promise<Outcome> {
  let [first, last, tokens, done] = [0, 0, 0, false];
  const gaps: number[] = [];
  const outcome = (status: number): Outcome => ({
    ...{ status, firstToken: first - due, gaps, tokens },
    end: performance.now() - due,
  });
  try {
    const response = await fetch(new URL('v1/completions', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ model, ...body, stream: true, stream_options: { include_usage: true } }),
    });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      return outcome(response.status);
    }
    for await (const data of events(response.body)) {
      if (data === '[DONE]') done = true;
      else {
        const { choices, usage } = JSON.parse(data) as Chunk;
        tokens = usage?.completion_tokens ?? tokens;
        if (!choices?.some(({ text }) => text !== '')) continue;
        const now = performance.now();
        if (first === 0) first = now;
        else gaps.push(now - last);
        last = now;
      }
    }
    return outcome(done ? response.status : 600);
  } catch {
    return outcome(first > 0 ? 600 : 0);
  }
}

interface Chunk {
  readonly choices?: readonly { readonly text: string }[];
  readonly usage?: { readonly completion_tokens: number } | null;
}

async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body as unknown as AsyncIterable<Uint8Array>) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part.startsWith('data: ')) yield part.slice('data: '.length);
  }
}
