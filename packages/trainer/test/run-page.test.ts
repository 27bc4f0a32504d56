import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runPage, train } from '../src/index.js';
import { losses, temporaryFolder, tinyRun } from './support.js';

const titles = (page: string) =>
  [...page.matchAll(/<svg[^>]*aria-label="([^"]*)"|<title[^>]*>([^<]*)</g)].map(
    (match) => match[1] ?? match[2],
  );

describe('the page of a run', () => {
  it('shows all steps and evaluations of the log, and is refreshed at checkpoints', async () => {
    const folder = temporaryFolder();
    const [log, page] = [join(folder, 'log.jsonl'), join(folder, 'log.html')];
    const evaluate = { every: 2, run: async (step: number) => ({ 'held-out <loss>': 1 / step }) };
    const options = tinyRun({
      steps: 8,
      log,
      page,
      evaluate,
      checkpoint: { directory: join(folder, 'run'), every: 4 },
    });
    let atCheckpoint = '';
    for await (const event of train(options)) {
      if (event.type === 'checkpoint' && event.step === 4) atCheckpoint = readFileSync(page, 'utf8');
    }
    expect(atCheckpoint).toContain('Step 4, ');
    const text = readFileSync(page, 'utf8');
    expect(text).toContain('Step 8, ');
    expect(text).toContain('held-out &lt;loss&gt;');
    expect(text).not.toContain('<script');
    expect(titles(text).join()).toMatch(/Loss.*Learning rate.*Gradient norm.*Tokens per second/s);
    expect(existsSync(`${page}.part`)).toBe(false);
  });

  it('needs a log', async () => {
    await expect(losses(tinyRun({ page: 'run.html' }))).rejects.toThrow(/the page shows the log.*Give log/s);
  });

  it('leaves out torn lines and what is not a number', () => {
    const page = runPage('{"step":1,"loss":2}\n{"step":2,"loss":null}\nnonsense\n{"step":3,"lo', 'My run');
    expect(page).toContain('<title>My run</title>');
    expect(page).toContain('Step 2, 0 tokens');
    expect(page).toContain('loss 2.0000');
    expect(runPage('')).toContain('No step has been made yet');
  });
});
