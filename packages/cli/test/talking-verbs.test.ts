import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { run, type Terminal } from '../src/index.js';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const model = await saveTinyModel(join(folder, 'tiny'));

describe('chat', () => {
  const args = ['chat', model, '--max-tokens', '4', '--json'];

  it('answers line by line, with the conversation before it', async () => {
    const { code, out } = await frugal(args, { input: 'Fellow\nFellow\n/reset\nFellow\n' });
    expect(code).toBe(0);
    const answers = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers).toHaveLength(3);
    for (const { role, content } of answers) expect([role, typeof content]).toEqual(['assistant', 'string']);
  });

  it('is the same for the same seed', async () => {
    const outcomes = [
      await frugal([...args, '--seed', '3'], { input: 'a' }),
      await frugal([...args, '--seed', '3'], { input: 'a' }),
    ];
    expect(outcomes[0].out).toBe(outcomes[1].out);
  });

  it('goes on after a message that does not fit', async () => {
    const { code, out, err } = await frugal(args, { input: `${'x'.repeat(200)}\nhi\n/exit\nignored\n` });
    expect(code).toBe(0);
    expect(err).toContain('fills the context');
    expect(out.trim().split('\n')).toHaveLength(1);
  });
});

describe('serve', () => {
  it('serves what it was given until it is stopped', async () => {
    const controller = new AbortController();
    let tell: (text: string) => void = () => {};
    const started = new Promise<string>((resolve) => {
      tell = resolve;
    });
    const terminal: Terminal = { out: (text) => tell(text), err: () => {}, input: process.stdin };
    const done = run(['serve', `a=${model}`, model, '--port', '0', '--json'], {
      terminal,
      signal: controller.signal,
    });
    const { url, models } = JSON.parse(await started);
    expect(models).toEqual(['a', 'tiny']);
    const body = JSON.stringify({ model: 'tiny', prompt: 'Fellow', max_tokens: 3, temperature: 0 });
    const headers = { 'content-type': 'application/json' };
    const answer = await (await fetch(`${url}v1/completions`, { method: 'POST', headers, body })).json();
    const { out } = await frugal(['generate', model, '--prompt', 'Fellow', '--max-tokens', '3', '--json']);
    expect(answer).toMatchObject({ choices: [{ text: JSON.parse(out).text }] });
    controller.abort(new Interrupted());
    expect(await done).toBe(0);
    await expect(fetch(`${url}health`)).rejects.toThrow();
  });

  it('refuses two models of one name, and a port that is taken', async () => {
    const twice = await frugal(['serve', model, model]);
    expect([twice.code, twice.err]).toEqual([2, expect.stringContaining('NAME=MODEL')]);
    const other = await listen();
    const { port } = other.address() as { port: number };
    const taken = await frugal(['serve', model, '--port', String(port)]);
    expect([taken.code, taken.err]).toEqual([1, expect.stringContaining('port is in use')]);
    other.close();
  });
});

function listen(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  });
}
