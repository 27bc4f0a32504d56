import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EndpointError, endpointTeacher, localTeacher } from '@frugal/distill';
import { createModel } from '@frugal/models';
import { serveModels } from '@frugal/serve';
import type { StoredDistributions } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { describe, expect, it, onTestFinished } from 'vitest';

const text = 'Fellow citizens of the Senate and of the House of Representatives. 却说曹操引兵追赶。'.repeat(
  4,
);
const tokenizer = trainByteLevelBpe([text], { vocabularySize: 300 });
const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 300,
  max_position_embeddings: 64,
};
const model = () => createModel(config, { seed: 3 });
const sequences = [0, 9].map((start) => tokenizer.encode(text).slice(start, start + 9));

/** Ids and logarithms agree, for all but equals, whose order is open. */
function expectSame(got: readonly StoredDistributions[], expected: readonly StoredDistributions[]): void {
  for (const [i, { indices, logs }] of expected.entries()) {
    expect([...got[i].indices]).toEqual([...indices]);
    for (const [j, log] of logs.entries()) expect(Math.abs(got[i].logs[j] - log)).toBeLessThan(2e-4);
  }
}

/** An endpoint in the way of vLLM: it repeats the prompt with logprobs, and names tokens by their ids. */
async function echoing(answer: (body: EchoRequest, turn: number) => object | number): Promise<string> {
  let turn = 0;
  const server: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const outcome = answer(JSON.parse(body), turn++);
      response.statusCode = typeof outcome === 'number' ? outcome : 200;
      response.end(typeof outcome === 'number' ? 'not now' : JSON.stringify(outcome));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

interface EchoRequest {
  readonly prompt: readonly number[];
  readonly echo?: boolean;
  readonly logprobs: number;
}

describe('a teacher behind an endpoint', () => {
  it('says the same through frugal serve as in this process, parts of characters included', async () => {
    const server = await serveModels({ models: [{ name: 'teacher', model: model(), tokenizer }], port: 0 });
    onTestFinished(() => server.close());
    const ask = endpointTeacher({ url: `${server.url}v1`, model: 'teacher', topK: 5, tokenizer });
    expectSame(await ask(sequences), await localTeacher(model(), { topK: 5 })(sequences));
  });

  it('needs one request per sequence where the endpoint repeats prompts', async () => {
    const [expected] = await localTeacher(model(), { topK: 4 })(sequences);
    let requests = 0;
    const url = await echoing(({ echo, logprobs }) => {
      requests++;
      expect([echo, logprobs]).toEqual([true, 4]);
      const rows = Array.from({ length: 9 }, (_, row) =>
        Object.fromEntries(
          Array.from({ length: 4 }, (__, k) => [
            `token_id:${expected.indices[row * 4 + k]}`,
            expected.logs[row * 5 + k],
          ]),
        ),
      );
      return { choices: [{ logprobs: { top_logprobs: [null, ...rows] } }] };
    });
    const ask = endpointTeacher({ url, model: 'any', topK: 4, tokenizer });
    expectSame(await ask(sequences.slice(0, 1)), [expected]);
    expect(requests).toBe(1);
  });

  it('tries again when the endpoint is busy, and gives up when it refuses', async () => {
    const row = { 'token_id:3': -0.1 };
    const url = await echoing((_, turn) =>
      turn === 0 ? 503 : { choices: [{ logprobs: { top_logprobs: [null, row, row] } }] },
    );
    const ask = endpointTeacher({ url, model: 'any', topK: 2, tokenizer });
    const [{ indices, logs }] = await ask([Int32Array.of(5, 6)]);
    expect([...indices]).toEqual([3, 299, 3, 299]);
    expect(logs[1]).toBe(Number.NEGATIVE_INFINITY);
    expect(logs[2]).toBeCloseTo(Math.log(1 - Math.exp(-0.1)), 5);
    const closed = endpointTeacher({ url: await echoing(() => 401), model: 'any', topK: 2, tokenizer });
    await expect(closed([Int32Array.of(5, 6)])).rejects.toThrow(/the endpoint refuses: got 401 not now/);
  });

  it.each([
    ['no logprobs', { choices: [{ logprobs: null }] }, /returns no logprobs/],
    ['another form', { answer: 42 }, /not that of a completions endpoint/],
    [
      'unknown names',
      { choices: [{ logprobs: { top_logprobs: [{ 'no such token': -1 }] } }] },
      /none of the names of tokens is known: got no such token/,
    ],
  ])('refuses an answer with %s', async (_, answer, message) => {
    const url = await echoing(() => answer);
    const ask = endpointTeacher({ url, model: 'any', topK: 2, tokenizer });
    const outcome = ask([Int32Array.of(5, 6)]);
    await expect(outcome).rejects.toThrow(EndpointError);
    await expect(outcome).rejects.toThrow(message);
  });
});
