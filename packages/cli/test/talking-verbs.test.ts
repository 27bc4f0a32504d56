import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Interrupts } from '../src/interrupts.js';
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

  it('has commands', async () => {
    const input = 'one\n/undo\none\n/retry\n/system Be brief.\none\n/nonsense\n';
    const { code, out, err } = await frugal([...args, '--temperature', '0'], { input });
    expect(code).toBe(0);
    const [first, again, retried, other] = out.trim().split('\n');
    expect([again, retried]).toEqual([first, first]); // greedy: the same question has the same answer
    expect(other).not.toBe(first);
    expect(err).toContain('There is no /nonsense.\n/reset');
  });

  it('says what it forgets when the context is full', async () => {
    const { out, err } = await frugal(args, { input: 'Fellow citizens\n'.repeat(8) });
    expect(err).toMatch(/The context is full: the first 2 messages are forgotten\.\n/);
    expect(err).not.toContain('error');
    expect(out.trim().split('\n')).toHaveLength(8);
  });

  it('stops an answer at Ctrl-C, and goes on', async () => {
    const interrupts = new Interrupts();
    let answers = 0;
    const { code, err } = await frugal(['chat', model, '--max-tokens', '40'], {
      input: 'Fellow\nFellow\n',
      interrupts,
      onOutput: () => answers++ === 0 && expect(interrupts.raise()).toBe(true),
    });
    expect(code).toBe(0);
    expect(err.match(/\d+ tokens?/g)).toHaveLength(2);
    expect(err.match(/Stopped after/g)).toHaveLength(1);
    expect(interrupts.raise()).toBe(false);
  });

  it('tells what the chat template refuses, and goes on', async () => {
    const strict = await saveTinyModel(join(folder, 'strict'));
    const file = join(strict, 'tokenizer_config.json');
    const config = JSON.parse(await readFile(file, 'utf8'));
    const refuse =
      "{% if messages[0].content == 'no' %}{{ raise_exception('Not that') }}{% endif %}{{ messages[0].content }}";
    await writeFile(file, JSON.stringify({ ...config, chat_template: refuse }));
    const { code, out, err } = await frugal(['chat', strict, '--json'], { input: 'no\nyes\n' });
    expect([code, out.trim().split('\n')]).toEqual([0, [expect.any(String)]]);
    expect(err).toContain('the template refused the messages: got Not that');
    const alone = await frugal(['generate', strict, '--chat', '--prompt', 'no']);
    expect([alone.code, alone.err]).toEqual([1, expect.stringContaining('Not that')]);
  });

  it('goes on after a message that does not fit', async () => {
    const { code, out, err } = await frugal(args, { input: `${'x'.repeat(200)}\nhi\n/exit\nignored\n` });
    expect(code).toBe(0);
    expect(err).toContain('fills the context');
    expect(out.trim().split('\n')).toHaveLength(1);
  });
});
