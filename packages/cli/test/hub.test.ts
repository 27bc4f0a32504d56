import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { download } from '../src/hub/download.js';
import { parseHubReference } from '../src/hub/reference.js';
import { selectFiles } from '../src/hub/select-files.js';
import { HubServer } from './support/hub-server.js';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await saveTinyModel(join(await temporaryFolder(), 'tiny'));
const files: Record<string, Uint8Array> = {};
for (const name of await readdir(folder)) files[name] = await readFile(join(folder, name));
const weights = files['model.safetensors'];

let server: HubServer;
let cache: string;
const variables = ['HF_ENDPOINT', 'HF_HUB_CACHE', 'HF_TOKEN', 'HF_HUB_OFFLINE'];
const before = variables.map((name) => process.env[name]);

beforeEach(async () => {
  server = await HubServer.start();
  cache = await mkdtemp(join(tmpdir(), 'frugal-hub-'));
  process.env.HF_ENDPOINT = server.url;
  process.env.HF_HUB_CACHE = cache;
  delete process.env.HF_TOKEN;
  delete process.env.HF_HUB_OFFLINE;
});
afterEach(async () => {
  await server.stop();
  await rm(cache, { recursive: true, force: true });
});
afterAll(() => {
  for (const [i, name] of variables.entries()) {
    if (before[i] === undefined) delete process.env[name];
    else process.env[name] = before[i];
  }
});

const inspect = (source: string) => frugal(['inspect', source, '--json']);
const model = (...path: string[]) => join(cache, 'models--org--tiny', ...path);
const generated = async (source: string) =>
  JSON.parse((await frugal(['generate', source, '--prompt', 'Fellow', '--max-tokens', '3', '--json'])).out);

describe('hf:org/name', () => {
  it('downloads what a model needs, once, into the cache of all tools', async () => {
    const commit = server.commit('org/tiny', {
      ...files,
      'README.md': 'hello',
      'pytorch_model.bin': weights,
      'onnx/model.onnx': 'x',
    });
    expect(await generated('hf:org/tiny')).toEqual(await generated(folder));
    expect(server.contents().sort()).toEqual(Object.keys(files).sort());
    expect(await readFile(model('refs', 'main'), 'utf8')).toBe(commit);
    expect((await readdir(model('snapshots', commit))).sort()).toEqual(Object.keys(files).sort());
    expect(await readlink(model('snapshots', commit, 'config.json'))).toMatch(
      /^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/,
    );
    expect((await inspect('hf:org/tiny')).code).toBe(0);
    expect(server.contents()).toEqual([]);
  });

  it('takes only what changed in a new commit, and other revisions by name', async () => {
    const first = server.commit('org/tiny', files);
    await inspect('hf:org/tiny');
    server.commit('org/tiny', { ...files, 'generation_config.json': '{"eos_token_id": 1}' });
    server.commit('org/tiny', { ...files, 'generation_config.json': '{}' }, { branch: 'test/branch' });
    server.contents();
    expect(JSON.parse((await inspect('hf:org/tiny')).out).path).not.toContain(first);
    expect(server.contents()).toEqual(['generation_config.json']);
    expect(JSON.parse((await inspect(`hf:org/tiny@${first}`)).out).path).toContain(first);
    expect(server.seen).toEqual([]);
    expect((await inspect('hf:org/tiny@test/branch')).code).toBe(0);
    expect(server.contents()).toEqual(['generation_config.json']);
  });

  it('opens one GGUF file of several', async () => {
    const gguf = { 'tiny-Q4.gguf': 'x', 'tiny-Q8.gguf': 'y'.repeat(3000), 'README.md': '' };
    server.commit('org/tiny', gguf);
    const several = await inspect('hf:org/tiny');
    expect([several.code, several.err]).toEqual([
      1,
      expect.stringContaining('Name one: hf:org/tiny:tiny-Q4.gguf.'),
    ]);
    const wrong = await inspect('hf:org/tiny:tiny-Q5.gguf');
    expect(wrong.err).toContain(
      'there is no such file: got tiny-Q5.gguf. There are: tiny-Q4.gguf, tiny-Q8.gguf.',
    );
    expect((await inspect('hf:org/tiny:tiny-Q8.gguf')).err).toMatch(/snapshots.*tiny-Q8\.gguf/); // no real GGUF
    expect(server.contents()).toEqual(['tiny-Q8.gguf']);
  });

  it('sends the token to the hub and to nobody else', async () => {
    server.commit('org/tiny', files, { token: 'secret' });
    const denied = await inspect('hf:org/tiny');
    expect([denied.code, denied.err]).toEqual([
      1,
      expect.stringMatching(/denies access \(401\).*set HF_TOKEN/),
    ]);
    process.env.HF_TOKEN = 'wrong';
    expect((await inspect('hf:org/tiny')).err).toContain('HF_TOKEN must be valid');
    process.env.HF_TOKEN = 'secret';
    server.seen.length = 0;
    expect((await inspect('hf:org/tiny')).code).toBe(0);
    for (const { server: name, token } of server.seen)
      expect(token).toBe(name === 'hub' ? 'Bearer secret' : undefined);
    expect(server.seen.some(({ server: name }) => name === 'cdn')).toBe(true);
  });

  it('says what is not there', async () => {
    server.commit('org/tiny', { 'README.md': 'hello' });
    expect((await inspect('hf:org/tiny')).err).toContain('there is no model here: got README.md');
    expect((await inspect('hf:org/tiny@v9')).err).toContain('no such model or revision: got org/tiny at v9');
    expect((await inspect('hf:org/other')).err).toContain('Is the name right?');
    const malformed = await inspect('hf:org/tiny@../../x');
    expect([malformed.code, malformed.err]).toEqual([
      2,
      expect.stringContaining('not the name of a model on the hub'),
    ]);
  });
});

describe('without a connection', () => {
  it('uses the cache and says so, or says why it cannot', async () => {
    const commit = server.commit('org/tiny', files);
    const { out } = await inspect('hf:org/tiny');
    await server.stop();
    const found = await inspect('hf:org/tiny');
    expect(found).toMatchObject({ code: 0, out });
    expect(found.err).toMatch(/the hub cannot be reached .* The copy in the cache is used\.\n$/);
    expect(await inspect(`hf:org/tiny@${commit}`)).toEqual({ code: 0, out, err: '' });
    process.env.HF_HUB_OFFLINE = '1';
    expect(await inspect('hf:org/tiny')).toEqual({ code: 0, out, err: '' });
    expect((await inspect('hf:org/other')).err).toContain('not in the cache, and HF_HUB_OFFLINE forbids');
    delete process.env.HF_HUB_OFFLINE;
    expect((await inspect('hf:org/other')).err).toMatch(/cannot be reached/);
  });

  it('does not take half a model for a whole one', async () => {
    const index = JSON.stringify({
      weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
    });
    const { 'model.safetensors': _, ...others } = files;
    const shards = {
      'model-00001-of-00002.safetensors': weights,
      'model-00002-of-00002.safetensors': `${'z'.repeat(9000)}`,
    };
    server.commit('org/tiny', { ...others, 'model.safetensors.index.json': index, ...shards });
    await inspect('hf:org/tiny');
    process.env.HF_HUB_OFFLINE = '1';
    expect((await inspect('hf:org/tiny')).err).not.toContain('not in the cache');
    const [snapshot] = await readdir(model('snapshots'));
    await rm(model('snapshots', snapshot, 'model-00002-of-00002.safetensors'));
    expect((await inspect('hf:org/tiny')).err).toContain('not in the cache');
  });
});

describe('a bad connection', () => {
  const cuts = [3000, 1, 2500].map((after) => ({ kind: 'cut', after }) as const);

  it('costs only what did not arrive', async () => {
    server.commit('org/tiny', files);
    server.mishaps.push(...cuts);
    expect(await generated('hf:org/tiny')).toEqual(await generated(folder));
    const ranges = server.seen
      .filter(({ url }) => url.endsWith('safetensors') && !url.includes('resolve'))
      .map(({ range }) => range);
    const starts = ranges
      .filter((range) => range !== 'bytes=0-0')
      .map((range) => Number(/\d+/.exec(range ?? '0')?.[0]));
    expect(starts.slice(0, 4)).toEqual([0, 3000, 3001, 5501]);
  });

  it('or an interrupted command is gone on from', async () => {
    server.commit('org/tiny', files);
    const controller = new AbortController();
    server.mishaps.push({ kind: 'cut', after: 4000 });
    const stopped = await frugal(['inspect', 'hf:org/tiny'], {
      signal: controller.signal,
      onProgress: () => controller.abort(new Interrupted()),
    });
    expect(stopped.code).toBe(130);
    const parts = (await readdir(model('blobs'))).filter((name) => name.endsWith('.incomplete'));
    expect(parts.length).toBeLessThanOrEqual(1);
    expect((await inspect('hf:org/tiny')).code).toBe(0);
    expect((await readdir(model('blobs'))).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  it('that changes bytes is found out', async () => {
    server.commit('org/tiny', files);
    server.mishaps.push({ kind: 'damage' }, { kind: 'damage' });
    const { code, err } = await inspect('hf:org/tiny');
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('the download is damaged: its SHA-256 is wrong'),
    ]);
    expect((await readdir(model('blobs'))).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
    server.mishaps.length = 0;
    expect((await inspect('hf:org/tiny')).code).toBe(0);
  });

  it('may have left a damaged part: then it starts again', async () => {
    server.commit('org/tiny', files);
    await inspect('hf:org/tiny');
    const name = (await readdir(model('blobs'))).find((blob) => blob.length === 64) as string;
    await rm(model('blobs', name));
    await writeFile(model('blobs', `${name}.incomplete`), Buffer.alloc(2000, 7));
    expect(await generated('hf:org/tiny')).toEqual(await generated(folder));
  });

  it('behind a proxy that sends all for a part does no harm', async () => {
    server.commit('org/tiny', files);
    server.mishaps.push({ kind: 'cut', after: 3000 }, { kind: 'no-range' });
    expect(await generated('hf:org/tiny')).toEqual(await generated(folder));
  });

  it('and a hub that is not well for a moment are waited for', async () => {
    server.commit('org/tiny', files);
    server.mishaps.push({ kind: 'status', status: 503 });
    expect((await inspect('hf:org/tiny')).code).toBe(0);
  });

  it('is given up at some time, and nothing is lost', async () => {
    const target = join(cache, 'file');
    let asked = 0;
    const file = {
      name: 'x',
      size: 10,
      hash: '',
      kind: 'sha256' as const,
      target,
      read: async () => {
        if (++asked === 1) return new Blob(['abc']).stream();
        throw new TypeError('fetch failed');
      },
    };
    const options = { signal: new AbortController().signal, onBytes: () => {}, pauseMilliseconds: 1 };
    await expect(download(file, options)).rejects.toThrow(
      '[x] the connection broke 5 times in a row (fetch failed): got 3 of 10 bytes. They are kept: the same command goes on from there.',
    );
    expect(asked).toBe(6);
    expect(await readFile(`${target}.incomplete`, 'utf8')).toBe('abc');
  });
});

describe('parseHubReference', () => {
  it.each([
    ['hf:org/name', { repository: 'org/name', revision: 'main' }],
    ['HF:gpt2', { repository: 'gpt2', revision: 'main' }],
    ['hf:org/a.b-c@refs/pr/1', { repository: 'org/a.b-c', revision: 'refs/pr/1' }],
    ['hf:org/name:sub/x.gguf', { repository: 'org/name', revision: 'main', file: 'sub/x.gguf' }],
    ['hf:org/name@v1:x.gguf', { repository: 'org/name', revision: 'v1', file: 'x.gguf' }],
  ])('reads %s', (source, expected) => {
    expect(parseHubReference(source)).toEqual({ kind: 'model', ...expected });
  });

  it.each([
    'hf:',
    'hf:/name',
    'hf:a/b/c',
    'hf:../x',
    'hf:org/name@',
    'hf:org/name:',
    'hf:org/name:../x',
    'hf:org/name:/x',
    'hf:o/n@a/../../b',
    'hf:o/n:C:x',
  ])('refuses %s', (source) => {
    expect(() => parseHubReference(source)).toThrow('not the name of a model on the hub');
  });
});

describe('selectFiles', () => {
  const select = (paths: string[], file?: string) => {
    const { files, open } = selectFiles(
      paths.map((path, size) => ({ path, size })),
      { repository: 'o/n', file },
    );
    return [open, ...files.map(({ path }) => path)];
  };

  it('prefers shards to the same model in one file, and leaves other layouts', () => {
    const shards = [
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ];
    expect(select(['config.json', 'model.safetensors', 'consolidated.safetensors', ...shards])).toEqual([
      '',
      'config.json',
      ...shards,
    ]);
    expect(select(['config.json', 'model.safetensors', 'original/model.safetensors'])).toEqual([
      '',
      'config.json',
      'model.safetensors',
    ]);
    expect(select(['config.json', 'weights.safetensors', 'x.gguf'])).toEqual([
      '',
      'config.json',
      'weights.safetensors',
    ]);
  });

  it('takes all parts of a split GGUF', () => {
    const parts = [1, 2, 11].map((i) => `q/m-${String(i).padStart(5, '0')}-of-00011.gguf`);
    expect(select([...parts, 'a-00002-of-00002.gguf'])).toEqual([parts[0], ...parts]);
    expect(select([...parts, 'other.gguf'], parts[0])).toEqual([parts[0], ...parts]);
  });

  it('never leaves the folder', () => {
    expect(
      select(['config.json', 'model.safetensors', '../config.json', '/tokenizer.json', 'a\\..\\vocab.json']),
    ).toEqual(['', 'config.json', 'model.safetensors']);
  });

  it('opens no other single files', () => {
    expect(() => select(['config.json', 'model.safetensors'], 'model.safetensors')).toThrow(
      'Leave the file out',
    );
  });
});

describe('hf:datasets/org/name', () => {
  const line = (text: string) => `${JSON.stringify({ body: text, id: text })}\n`;
  const data = {
    'README.md': '# about',
    'data/train-00000-of-00002.jsonl': line('one'),
    'data/train-00001-of-00002.jsonl': line('two'),
    'data/test.jsonl': line('test'),
    'extra/more.csv': 'body\nmore\n',
  };
  const split = async (source: string) => {
    const out = join(await temporaryFolder(), 'split');
    const args = ['data', 'split', source, '--out', out, '--held-out', '0', '--text-field', 'body'];
    const done = await frugal(args);
    if (done.code !== 0) return done;
    const lines = (await readFile(join(out, 'train.jsonl'), 'utf8')).trim().split('\n');
    return { ...done, texts: lines.map((each) => JSON.parse(each).text) };
  };

  it('gives the training split, or what lies at a path, from the cache the second time', async () => {
    server.commit('datasets/org/pages', data);
    expect(await split('hf:datasets/org/pages')).toMatchObject({ code: 0, texts: ['one', 'two'] });
    expect(await split('hf:datasets/org/pages:data')).toMatchObject({ texts: ['test', 'one', 'two'] });
    expect(await split('hf:datasets/org/pages:extra/more.csv')).toMatchObject({ texts: ['more'] });
    server.contents();
    expect(await split('hf:datasets/org/pages')).toMatchObject({ texts: ['one', 'two'] });
    expect(server.contents()).toEqual([]);
    process.env.HF_HUB_OFFLINE = '1';
    expect(await split('hf:datasets/org/pages')).toMatchObject({ texts: ['one', 'two'] });
    await rm(join(cache, 'datasets--org--pages/snapshots'), { recursive: true });
    expect((await split('hf:datasets/org/pages')).err).toMatch(/data set is not in the cache/);
  });

  it('says what there is when nothing fits', async () => {
    server.commit('datasets/org/pages', data);
    expect((await split('hf:datasets/org/pages:nowhere')).err).toMatch(
      /hf:datasets\/org\/pages\] there is nothing at this path: got nowhere.*extra\/more\.csv/s,
    );
    expect((await split('hf:org/tiny')).err).toMatch(
      /not the name of a data set on the hub: got hf:org\/tiny/,
    );
    expect((await inspect('hf:datasets/org/pages')).err).toMatch(/not the name of a model on the hub/);
  });
});
