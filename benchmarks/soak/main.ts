import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { attachAdapters, saveAdapter } from '@frugal/lora';
import { huggingFaceNames, loadModel } from '@frugal/models';
import { Random } from '@frugal/tensor-core';
import { defaultCacheDType, PagedKVCache } from '@frugal/tensor-core/generation';
import { startServer } from '../serve/local-server.js';
import { machine } from '../shared/result.js';
import { quantile } from '../shared/statistics.js';

/**
 * `frugal serve` at saturation, amid clients that behave badly:
 *   npm run bench -- soak -- [--model FILE.gguf] [--seconds N] [--warm N] [--clients N] [--json FILE]
 * Whole answers and streams whose text is known, documents of schemas that nobody used before, requests that are cancelled, malformed
 * bodies, clients that do not read, and an adapter that comes and goes while it is used. The cache is so small that running requests
 * lose their memory to others. After `--warm` seconds, in which caches fill and code is compiled, memory counts. Ends with 1 when an answer is lost or wrong, the engine crashes, memory grows by more than 5 %, or
 * nobody lost their memory.
 */
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    seconds: { type: 'string', default: '600' },
    warm: { type: 'string', default: '300' },
    clients: { type: 'string', default: '24' },
    json: { type: 'string' },
  },
});
const model = options.model ?? process.env.FRUGAL_BENCH_MODEL;
if (!model) {
  console.error('[soak] no model: name one with --model (see benchmarks/README.md)');
  process.exit(2);
}
const seconds = Number(options.seconds);
const warm = Number(options.warm);
const headers = { 'content-type': 'application/json' };
const KINDS = 8;

const folder = mkdtempSync(join(tmpdir(), 'frugal-soak-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
/** Of a request that is cancelled; with its prompt it is the longest one. */
const LONGEST = 300;
/** The longest request fits just so, and never begins alone. */
const CACHE_TOKENS = LONGEST + 64;
const bytesPerToken = await writeAdapters(['one', 'two']);
const config = join(folder, 'serve.json');
const limits = { maxRunning: 12, maxWaiting: 256, cacheBytes: CACHE_TOKENS * bytesPerToken };
writeFileSync(config, JSON.stringify({ adapters: join(folder, 'adapters'), limits, drainTimeout: 2000 }));
const server = await startServer(model, ['--config', config]);
const engine = childOf(server.pid);
const port = Number(new URL(server.url).port);

const counts = {
  ...{ right: 0, documents: 0, cancelled: 0, malformed: 0, unread: 0 },
  ...{ adapterLoads: 0, adapterGone: 0 },
};
const failures: string[] = [];
const memory: { readonly at: number; readonly server: number; readonly engine: number }[] = [];
/** Milliseconds until `/health` answers, as this busy process sees it. */
const health: number[] = [];
let unique = 0;

const bodyOf = (kind: number, name = 'model') => ({
  ...{
    model: name,
    prompt: `Number ${kind}: ${'and so it went on, '.repeat(1 + (kind % 4))}`,
    max_tokens: 6 + kind * 12,
  },
  ...{ seed: kind, temperature: kind % 2 },
});
const expected = { model: await known('model'), 'model:one': [] as string[] };
await adapter('POST', 'one');
expected['model:one'] = await known('model:one');

const start = performance.now();
const running = () => performance.now() - start < 1000 * (warm + seconds);
const clients = Array.from({ length: Number(options.clients) }, (_, id) => client(id));
await Promise.all([...clients, watch(), reload()]);

const stats = await (await fetch(new URL('metrics', server.url))).text();
const total = (name: string) => Number(new RegExp(`^frugal_${name}_total (\\d+)`, 'm').exec(stats)?.[1]);
const preemptions = total('preemptions');
const computedTokens = { steps: total('engine_steps'), cachedPromptTokens: total('cached_prompt_tokens') };
const isSame = childOf(server.pid) === engine;
await server.stop();
const growth = { server: growthOf('server'), engine: growthOf('engine') };
const crashes = isSame ? 0 : 1;
const isFlat = Math.max(growth.server, growth.engine) <= 0.05;
const ok = failures.length === 0 && crashes === 0 && isFlat && preemptions > 0;
const summary = {
  ...{ ok, seconds, warm, clients: clients.length, ...counts, preemptions, crashes, ...computedTokens },
  healthMilliseconds: { p50: quantile(health, 0.5), p99: quantile(health, 0.99), most: quantile(health, 1) },
  growth,
  failures: failures.slice(0, 10),
};
console.log(`machine: ${machine()}`);
console.log(JSON.stringify(summary, null, 2));
if (options.json) {
  mkdirSync(dirname(options.json), { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const every = Math.ceil(memory.length / 120);
  const data = {
    machine: machine(),
    date,
    model: model.split('/').pop(),
    limits,
    ...summary,
    residentBytes: memory.filter((_, i) => i % every === 0),
  };
  writeFileSync(options.json, `${JSON.stringify(data, null, 2)}\n`);
}
process.exitCode = ok ? 0 : 1;

async function client(id: number): Promise<void> {
  const random = new Random(id + 1);
  const common = [whole, whole, streamed, streamed, adapted, adapted, cancelled, cancelled];
  const acts = [...common, document, malformed, unread];
  while (running()) {
    const [roll, kind] = await random.uniform([2]).toFloat32();
    try {
      await acts[Math.floor(roll * acts.length)](Math.floor(kind * KINDS));
    } catch (error) {
      failures.push(String((error as Error).message));
    }
  }
}

async function whole(kind: number): Promise<void> {
  check(await textOf(bodyOf(kind)), expected.model[kind]);
}

async function streamed(kind: number): Promise<void> {
  const response = await post({ ...bodyOf(kind), stream: true });
  const events = (await response.text()).split('\n\n').filter((event) => event !== '');
  if (events.pop() !== 'data: [DONE]') throw new Error('a stream broke off');
  const chunks = events.map((event) => JSON.parse(event.slice('data: '.length)));
  check(chunks.map(({ choices }) => choices[0].text).join(''), expected.model[kind]);
}

/** While the adapter is away there is no such model; else the answer is that of the adapter. */
async function adapted(kind: number): Promise<void> {
  const response = await post(bodyOf(kind, 'model:one'));
  const answer = await response.json();
  if (response.status === 404) counts.adapterGone++;
  else check(answer.choices?.[0].text, expected['model:one'][kind]);
}

/** A new schema each time, in which only one document has all it needs. */
async function document(kind: number): Promise<void> {
  const id = unique++;
  const properties = {
    id: { const: id },
    kind: { enum: [`kind ${kind}`] },
    note: { type: 'string', maxLength: kind },
  };
  const schema = { type: 'object', properties, required: ['id', 'kind', 'note'] };
  const response_format = { type: 'json_schema', json_schema: { name: 'document', schema } };
  const found = JSON.parse(await textOf({ ...bodyOf(kind), max_tokens: 64, response_format }));
  if (found.id !== id || found.kind !== `kind ${kind}` || [...found.note].length > kind)
    throw new Error(`${JSON.stringify(found)} for document ${id} of kind ${kind}`);
  counts.documents++;
}

/** A new prompt each time, so that what the cache keeps for others changes. It ends while it waits, reads, or writes. */
async function cancelled(kind: number): Promise<void> {
  const controller = new AbortController();
  const prompt = `${unique++} ${bodyOf(kind).prompt}`;
  const answer = post({ ...bodyOf(kind), prompt, max_tokens: LONGEST, stream: true }, controller.signal);
  if (kind < KINDS / 2) setTimeout(() => controller.abort(), kind * 100);
  try {
    let events = 0;
    for await (const _ of (await answer).body ?? []) if (++events === kind * 20) controller.abort();
  } catch {
    // It was cancelled.
  }
  counts.cancelled++;
}

async function malformed(kind: number): Promise<void> {
  const body = JSON.stringify(bodyOf(kind)).slice(0, -1 - kind);
  const response = await fetch(new URL('v1/completions', server.url), { method: 'POST', headers, body });
  if (response.status !== 400) throw new Error(`a malformed body got ${response.status}`);
  await response.arrayBuffer();
  counts.malformed++;
}

async function unread(kind: number): Promise<void> {
  const body = JSON.stringify({ ...bodyOf(kind), max_tokens: 200, stream: true, logprobs: 5 });
  const socket = connect(port, '127.0.0.1').pause();
  socket.on('error', () => {});
  const head =
    'POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ';
  socket.write(`${head}${body.length}\r\n\r\n${body}`);
  await sleep(300 + kind * 100);
  socket.destroy();
  counts.unread++;
}

/** One adapter is used while it comes and goes; another one comes and goes unused. */
async function reload(): Promise<void> {
  while (running()) {
    await sleep(3000);
    await adapter('DELETE', 'one');
    await adapter('POST', 'two');
    await adapter('POST', 'one');
    await adapter('DELETE', 'two');
  }
}

async function adapter(method: 'POST' | 'DELETE', name: string): Promise<void> {
  const body = JSON.stringify({ model: 'model', adapter: name });
  const response = await fetch(new URL('v1/adapters', server.url), { method, headers, body });
  if (!response.ok) failures.push(`${method} of adapter ${name}: ${await response.text()}`);
  else await response.arrayBuffer();
  if (method === 'POST') counts.adapterLoads++;
}

async function watch(): Promise<void> {
  while (running()) {
    memory.push({
      at: (performance.now() - start) / 1000,
      server: residentBytes(server.pid),
      engine: residentBytes(engine),
    });
    const asked = performance.now();
    await (await fetch(new URL('health', server.url))).arrayBuffer();
    health.push(performance.now() - asked);
    await sleep(200);
  }
}

/**
 * Of the last fifth of the time over the first one, once the server is warm: of the least that was resident in either, which is
 * what remained of a collection. Between two of them, minutes apart, V8's garbage alone is more than what is looked for.
 */
function growthOf(who: 'server' | 'engine'): number {
  const least = (from: number, to: number) =>
    Math.min(
      ...memory
        .filter(({ at }) => at >= warm + from * seconds && at < warm + to * seconds)
        .map((each) => each[who]),
    );
  return least(0.8, 1) / least(0, 0.2) - 1;
}

function check(found: string | undefined, wanted: string): void {
  if (found !== wanted) throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  counts.right++;
}

function known(name: string): Promise<string[]> {
  return Promise.all(Array.from({ length: KINDS }, (_, kind) => textOf(bodyOf(kind, name))));
}

async function textOf(body: object): Promise<string> {
  const answer = await (await post(body)).json();
  return answer.choices?.[0].text ?? JSON.stringify(answer);
}

function post(body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(new URL('v1/completions', server.url), {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    signal,
  });
}

/** Saves random adapters of the model. Returns the bytes of keys and values of one token. */
async function writeAdapters(names: readonly string[]): Promise<number> {
  const loaded = await loadModel(model as string);
  for (const [seed, name] of names.entries()) {
    const adapters = attachAdapters(loaded, { targets: { include: ['blocks.*.attention.*'] }, rank: 8 });
    const random = new Random(seed);
    for (const { up } of adapters.layers.values()) up.value = random.normal([...up.shape]).mul(0.05);
    await saveAdapter(adapters, join(folder, 'adapters', name), { names: huggingFaceNames(loaded.config) });
    adapters.detach();
  }
  const bytes = PagedKVCache.bytesPerToken(loaded.cacheSpec, defaultCacheDType(loaded));
  loaded.dispose();
  return bytes;
}

/** The process of the engine. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

function residentBytes(pid: number): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return 1024 * Number(kilobytes);
}
