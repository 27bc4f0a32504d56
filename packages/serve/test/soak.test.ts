import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it, onTestFinished } from 'vitest';
import { createEngine, type EngineNotice, serveEngine, spawnEngine } from '../src/index.js';
import { compiled } from './support/program.js';
import { readStream, textOf } from './support/server.js';
import { tinyModel } from './support/tiny.js';

/** Longer by hand: `FRUGAL_SOAK_SECONDS=600`. Memory is judged from a minute on. */
const seconds = Number(process.env.FRUGAL_SOAK_SECONDS ?? 2);
const clients = 24;
const module = compiled('./engine-process.ts');

/** One of few requests whose answers are known. */
const bodyOf = (kind: number) => ({
  model: 'tiny',
  prompt: `Number ${kind} ${'and so on '.repeat(kind % 4)}`,
  max_tokens: 5 + kind * 3,
  seed: kind,
  temperature: 1,
});

/**
 * Bytes in use by this process once garbage is collected: what is resident says more of when V8 last did that, a new space
 * between 1 and 33 MB, and garbage of minutes among what is old.
 */
function liveBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function start() {
  const notices: EngineNotice[] = [];
  const engine = await spawnEngine({ module, settings: {}, onNotice: (notice) => notices.push(notice) });
  const server = await serveEngine(engine, { port: 0 });
  onTestFinished(() => server.close());
  const post = (body: BodyInit, signal?: AbortSignal) =>
    fetch(`${server.url}v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal,
    });
  return { engine, server, notices, post };
}

async function knownAnswers(): Promise<string[]> {
  const engine = createEngine([tinyModel({ positions: 4096 })]);
  onTestFinished(() => engine.close());
  return Promise.all(
    Array.from({ length: 8 }, async (_, kind) => {
      const { prompt, max_tokens: maxTokens, ...rest } = bodyOf(kind);
      let text = '';
      for await (const event of engine.submit({ ...rest, prompt: { text: prompt }, maxTokens })) {
        if (event.type === 'text') text += event.text;
      }
      return text;
    }),
  );
}

it(
  'serves the right answers amid cancelled requests, malformed bodies and clients that do not read',
  async () => {
    const expected = await knownAnswers();
    const { engine, server, notices, post } = await start();
    const end = performance.now() + seconds * 1000;
    const counts = { right: 0, cancelled: 0, malformed: 0, unread: 0 };
    const port = Number(new URL(server.url).port);

    const acts = [
      async (kind: number) => {
        const answer = await (await post(JSON.stringify(bodyOf(kind)))).json();
        expect(answer.choices[0].text).toBe(expected[kind]);
        counts.right++;
      },
      async (kind: number) => {
        const response = await post(JSON.stringify({ ...bodyOf(kind), stream: true }));
        const { chunks, done } = readStream(await response.text());
        expect([textOf(chunks), done]).toEqual([expected[kind], true]);
        counts.right++;
      },
      async (kind: number) => {
        const controller = new AbortController();
        const answer = post(
          JSON.stringify({ ...bodyOf(kind), max_tokens: 3000, stream: true }),
          controller.signal,
        );
        const reading = answer.then((response) => response.text()).catch(() => {});
        setTimeout(() => controller.abort(), kind * 5);
        await reading;
        counts.cancelled++;
      },
      async (kind: number) => {
        const response = await post(JSON.stringify(bodyOf(kind)).slice(0, -1 - kind));
        expect(response.status).toBe(400);
        counts.malformed++;
      },
      async (kind: number) => {
        const body = JSON.stringify({ ...bodyOf(kind), max_tokens: 3000, stream: true, logprobs: 5 });
        const socket = connect(port, '127.0.0.1').pause();
        socket.on('error', () => {});
        const head = `POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
        socket.write(`${head}\r\n\r\n${body}`);
        await new Promise((resolve) => setTimeout(resolve, 20 + kind * 5));
        socket.destroy();
        counts.unread++;
      },
    ];

    const memory: number[] = [];
    const client = async (id: number) => {
      for (let turn = 0; performance.now() < end; turn++) {
        const roll = (id * 31 + turn * 17 + ((id * turn) % 7)) % 10;
        await acts[roll < 3 ? 0 : roll < 6 ? 1 : roll - 4 > 4 ? 2 : roll - 4](
          ((id + turn) * 5) % expected.length,
        );
      }
    };
    const judge = setInterval(() => memory.push(liveBytes()), 1000);
    onTestFinished(() => clearInterval(judge));
    await Promise.all(Array.from({ length: clients }, (_, id) => client(id)));

    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(0);
    await expect
      .poll(() => engine.stats(), { timeout: 120_000 })
      .toMatchObject({ running: 0, waiting: 0, cacheTokensHeld: 0 });
    expect(notices).toEqual([]);
    if (seconds >= 60) {
      const least = (from: number, to: number) =>
        Math.min(...memory.slice(Math.floor(from * memory.length), Math.ceil(to * memory.length)));
      expect(least(0.8, 1)).toBeLessThan(least(0.3, 0.5) * 1.05);
    }
  },
  (seconds + 120) * 1000,
);
