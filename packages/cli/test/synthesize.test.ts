import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const lines = (values: readonly object[]) => values.map((value) => JSON.stringify(value)).join('\n');

const places = ['Senate', 'House', 'country', 'peace', 'west', 'fellow', 'citizens', 'matter'];
const question = (i: number) => `Which ${places[i % 8]} ${i}?`;
const answer = (i: number) => `The ${places[i % 8]} of great ${places[(i >> 3) % 8]}`;

/** An endpoint that answers rightly; `asked` are the questions that came. */
let server: Server;
const asked: string[] = [];
let answers = (i: number) => answer(i);

beforeAll(async () => {
  server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const { model, messages } = JSON.parse(body);
    expect([request.url, model, request.headers.authorization]).toEqual([
      '/v1/chat/completions',
      'oracle',
      'Bearer secret',
    ]);
    const [{ content }] = messages;
    asked.push(content);
    const text = answers(Number(/\d+/.exec(content)?.[0]));
    response.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content: text } }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await saveTinyModel(at('student'), { ...tinyConfig, max_position_embeddings: 96 });
  await writeFile(
    at('seeds.jsonl'),
    lines(Array.from({ length: 32 }, (_, i) => ({ id: `seed-${i}`, text: question(i) }))),
  );
  await writeFile(
    at('real.jsonl'),
    lines(Array.from({ length: 16 }, (_, i) => ({ prompt: question(32 + i), completion: answer(32 + i) }))),
  );
});
afterAll(() => server.close());

async function configFile(name: string, changes: object = {}): Promise<string> {
  const config = {
    student: 'student',
    teacher: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, model: 'oracle' },
    seeds: ['seeds.jsonl'],
    heldOut: ['real.jsonl'],
    out: name,
    rounds: 2,
    documentsPerRound: 16,
    epochs: 4,
    writing: { answers: 2, maxTokens: 12 },
    filters: { copies: 1, leastDiversity: 0.3 },
    training: { batch: 4, learningRate: 0.01 },
    ...changes,
  };
  await writeFile(at(`${name}.yaml`), JSON.stringify(config));
  return at(`${name}.yaml`);
}

const run = (file: string, ...others: string[]) => {
  answers = answer;
  return frugal(['data', 'synthesize', file, '--api-key', 'secret', ...others]);
};
const weights = (name: string) => readFile(at(`${name}/model.safetensors`));

describe('data synthesize', () => {
  it('gains over two rounds, and says what it did', async () => {
    const { code, out, err } = await run(await configFile('taught'), '--json');
    expect([code, err]).toEqual([
      0,
      expect.stringMatching(/round 1: 16 of 16 kept.*\n(.*\n)*.*round 2: 16 of 16/),
    ]);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ stopped: 'all rounds done', examples: 32, heldOut: 16 });
    for (const { gain, kept } of report.rounds) {
      expect(kept).toBe(true);
      expect(gain.low).toBeGreaterThan(0);
    }
    const gains = report.rounds.map(({ gain }: { gain: { difference: number } }) => gain.difference);
    expect(report.loss.before - report.loss.after).toBeCloseTo(gains[0] + gains[1], 6);
    const examples = (await readFile(at('taught.training/examples.jsonl'), 'utf8')).trim().split('\n');
    expect(examples).toHaveLength(32);
    const [first] = examples.map((line) => JSON.parse(line));
    const number = Number(/\d+/.exec(first.instruction)?.[0]);
    expect(first).toEqual({ instruction: question(number), output: answer(number), seed: `seed-${number}` });
    expect(await readFile(at('taught.training/report.html'), 'utf8')).toContain('all rounds done');
    expect(existsSync(at('taught.training/checkpoints'))).toBe(false);
    const manifest = JSON.parse(await readFile(at('taught/frugal.json'), 'utf8'));
    expect(manifest.sources[1]).toEqual({ role: 'teacher', name: expect.stringContaining('oracle at http') });
  });

  it('goes on where it was interrupted, asks nothing twice, and ends with the same weights', async () => {
    const file = await configFile('cut');
    const controller = new AbortController();
    const stopInTraining = (text: string) => {
      if (/^round 2 [^:]/.test(text)) controller.abort(new Interrupted());
    };
    const cut = await frugal(['data', 'synthesize', file, '--api-key', 'secret'], {
      signal: controller.signal,
      onError: stopInTraining,
    });
    expect([cut.code, existsSync(at('cut'))]).toEqual([130, false]);
    expect((await run(file)).err).toMatch(/an earlier run was not finished.*--resume/);
    expect((await run(await configFile('cut', { epochs: 5 }), '--resume')).err).toMatch(
      /other settings.*epochs/,
    );
    asked.length = 0;
    const { code } = await run(await configFile('cut'), '--resume');
    expect([code, asked]).toEqual([0, []]);
    expect(await weights('cut')).toEqual(await weights('taught'));
  });

  it('stops, and writes no model, when the teacher evades all questions', async () => {
    answers = () => 'It is a matter of great satisfaction that the country is at peace.';
    const { code, out, err } = await frugal([
      'data',
      'synthesize',
      await configFile('evaded', { filters: { copies: 1, leastDistinct: 0.4 } }),
      '--api-key',
      'secret',
    ]);
    expect([code, existsSync(at('evaded'))]).toEqual([1, false]);
    expect(out).toContain('dropped');
    expect(err).toMatch(/no round was a gain, so no model is written: got collapse: too little diversity/);
    expect(JSON.parse(await readFile(at('evaded.training/report.json'), 'utf8')).rounds).toHaveLength(1);
  });

  it('stops when a model of this machine answers at random', async () => {
    await saveTinyModel(at('noise'), { ...tinyConfig, max_position_embeddings: 96 }, 9);
    const { code, err } = await run(
      await configFile('noisy', {
        teacher: 'noise',
        documentsPerRound: 4,
        writing: { answers: 3, maxTokens: 12, temperature: 1 },
      }),
    );
    expect([code, err]).toEqual([1, expect.stringMatching(/no model is written: got no new examples/)]);
    const report = JSON.parse(await readFile(at('noisy.training/report.json'), 'utf8'));
    expect(report.rounds[0].rejected).toEqual({ 'answers disagree': 4 });
  });

  it('says what is wrong before it asks anybody', async () => {
    asked.length = 0;
    const problems: readonly [object, RegExp][] = [
      [{ teacher: undefined }, /teacher: is missing/],
      [{ writing: { answer: 'hello' } }, /writing.answer: must contain \{instruction\}/],
      [{ writing: { anwers: 3 } }, /writing: unknown anwers; did you mean answers\?/],
      [{ training: { rate: 1 } }, /training.*unknown rate/],
      [{ seeds: ['leak.jsonl'] }, /a seed document is held out as well/],
      [{ training: { sequence: 500 } }, /longer than the context of the model/],
    ];
    await writeFile(at('leak.jsonl'), lines([{ text: question(33) }]));
    for (const [changes, message] of problems) {
      const { code, err } = await run(await configFile('wrong', changes));
      expect([code, err]).toEqual([1, expect.stringMatching(message)]);
    }
    expect([asked, existsSync(at('wrong.training'))]).toEqual([[], false]);
    const { out } = await run(await configFile('plan'), '--dry-run');
    expect(out).toMatch(/up to 2 rounds, each about 16 of 32 documents, scored on 16 real examples/);
  });
});
