import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { lineChart } from '@frugal/report';
import { machine } from '../shared/result.js';
import { quantile } from '../shared/statistics.js';
import { arrivals } from './arrivals.js';
import { startServer } from './local-server.js';
import { type Outcome, oneRequest, type Target } from './one-request.js';

/**
 * A server under requests that arrive by themselves (open loop, Poisson), at one rate after the other:
 *   npm run bench -- serve -- --model FILE.gguf [--rates 1,2,4] [--seconds 20] [--words 100] [--max-tokens 64]
 *                             [--price PER_HOUR] [--seed N] [--json FILE]
 *   npm run bench -- serve -- --url http://127.0.0.1:8080/ --name MODEL [--key KEY] …
 * Servers of this machine only, and at most so many requests at a time: it is no tool to attack others with.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    url: { type: 'string' },
    name: { type: 'string', default: 'model' },
    key: { type: 'string' },
    rates: { type: 'string', default: '1,2,4,8' },
    seconds: { type: 'string', default: '20' },
    words: { type: 'string', default: '100' },
    'max-tokens': { type: 'string', default: '64' },
    price: { type: 'string' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
});
const MOST_AT_ONCE = 256;
const WORDS =
  'time year people way day man thing woman life child world school state family student group'.split(' ');

function fail(message: string): never {
  console.error(`[serve] ${message}`);
  process.exit(2);
}

function requireLoopback(url: string): string {
  const { hostname } = URL.canParse(url) ? new URL(url) : { hostname: '' };
  if (/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return url;
  return fail(`only servers of this machine are measured: got ${url}; expected http://127.0.0.1:PORT/`);
}

/** Different from its first word on, so that no prefix is shared. */
function promptOf(seed: number): string {
  const words = Array.from(
    { length: Number(options.words) },
    (_, i) => WORDS[(seed * 31 + i * i * 7) % WORDS.length],
  );
  return [String(seed), ...words].join(' ');
}

interface Measured {
  readonly rate: number;
  readonly outcomes: readonly Outcome[];
  /** Requests that were not sent, because too many were open. */
  readonly dropped: number;
  readonly seconds: number;
}

async function measure(target: Target, rate: number, seed: number): Promise<Measured> {
  const running = new Set<Promise<Outcome>>();
  const all: Promise<Outcome>[] = [];
  let dropped = 0;
  const times = await arrivals(rate, Number(options.seconds), seed);
  const start = performance.now();
  for (const [i, at] of times.entries()) {
    const due = start + at * 1000;
    await sleep(Math.max(0, due - performance.now()));
    if (running.size >= MOST_AT_ONCE) {
      dropped++;
      continue;
    }
    const id = seed * 100_000 + i;
    const body = { prompt: promptOf(id), max_tokens: Number(options['max-tokens']), seed: id };
    const request = oneRequest(target, body, due);
    running.add(request);
    all.push(request);
    void request.then(() => running.delete(request));
  }
  const outcomes = await Promise.all(all);
  return { rate, outcomes, dropped, seconds: (performance.now() - start) / 1000 };
}

function summary({ rate, outcomes, dropped, seconds }: Measured) {
  const good = outcomes.filter(({ status }) => status === 200);
  const first = good.map(({ firstToken }) => firstToken).filter((time) => time > 0);
  const gaps = good.flatMap((outcome) => outcome.gaps);
  const tokensPerSecond = good.reduce((sum, { tokens }) => sum + tokens, 0) / seconds;
  const at = (values: readonly number[], q: number) => (values.length > 0 ? quantile(values, q) : null);
  const statuses: Record<string, number> = {};
  for (const { status } of outcomes) statuses[status] = (statuses[status] ?? 0) + 1;
  const price = options.price === undefined ? null : Number(options.price);
  return {
    ...{ rate, requests: outcomes.length, statuses, dropped, seconds, tokensPerSecond },
    firstToken: { p50: at(first, 0.5), p90: at(first, 0.9), p99: at(first, 0.99) },
    interToken: { p50: at(gaps, 0.5), p90: at(gaps, 0.9), p99: at(gaps, 0.99) },
    costPerMillionTokens: price === null ? null : (price / 3600 / tokensPerSecond) * 1e6,
  };
}

type Summary = ReturnType<typeof summary>;

function print({
  rate,
  requests,
  statuses,
  dropped,
  tokensPerSecond,
  firstToken,
  interToken,
  ...rest
}: Summary): void {
  const ms = ({ p50, p90, p99 }: Summary['firstToken']) =>
    [p50, p90, p99].map((value) => value?.toFixed(0) ?? '-').join(' / ');
  const cost =
    rest.costPerMillionTokens === null
      ? ''
      : `, ${rest.costPerMillionTokens.toPrecision(3)} per million tokens`;
  console.log(
    `${rate}/s: ${requests} requests ${JSON.stringify(statuses)}, ${dropped} not sent, ${tokensPerSecond.toFixed(0)} tokens/s${cost}; ` +
      `first token p50/p90/p99 ${ms(firstToken)} ms, between tokens ${ms(interToken)} ms`,
  );
}

function chartOf(summaries: readonly Summary[]): string {
  const line = (name: string, part: 'firstToken' | 'interToken', q: 'p50' | 'p99') => ({
    name,
    points: summaries.map((each) => [each.rate, each[part][q] ?? Number.NaN] as const),
  });
  return lineChart({
    title: 'A server under requests that arrive by themselves',
    subtitle: `${options.words} words, up to ${options['max-tokens']} tokens each; ${machine()}`,
    xLabel: 'requests per second',
    yLabel: 'milliseconds',
    yScale: 'log',
    series: [
      line('first token, p99', 'firstToken', 'p99'),
      line('first token, p50', 'firstToken', 'p50'),
      line('between tokens, p99', 'interToken', 'p99'),
      line('between tokens, p50', 'interToken', 'p50'),
    ],
  });
}

const model = options.model ?? process.env.FRUGAL_BENCH_MODEL;
if (!options.url && !model) fail('no server: name one with --url, or a model with --model');
const own = options.url ? null : await startServer(model as string);
const target: Target = {
  url: requireLoopback(options.url ?? (own?.url as string)),
  model: own ? 'model' : options.name,
  key: options.key,
};
try {
  const warm = await oneRequest(target, { prompt: 'warm', max_tokens: 4, seed: 0 }, performance.now());
  if (warm.status !== 200) fail(`the server answers with ${warm.status}`);
  console.log(`machine: ${machine()}`);
  const summaries: Summary[] = [];
  for (const [i, rate] of options.rates.split(',').map(Number).entries()) {
    if (!(rate > 0)) fail(`--rates holds numbers of requests per second: got ${options.rates}`);
    summaries.push(summary(await measure(target, rate, Number(options.seed) + i)));
    print(summaries[i]);
  }
  if (options.json) {
    mkdirSync(dirname(options.json), { recursive: true });
    const { key: _, ...shown } = options;
    const data = {
      machine: machine(),
      date: new Date().toISOString().slice(0, 10),
      options: shown,
      summaries,
    };
    writeFileSync(options.json, `${JSON.stringify(data, null, 2)}\n`);
    writeFileSync(options.json.replace(/(\.json)?$/, '.svg'), chartOf(summaries));
  }
} finally {
  await own?.stop();
}
