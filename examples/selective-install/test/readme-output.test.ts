import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].trimEnd().split('\n');

it('the README shows what the program prints', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-selective-'));
  const before = process.cwd();
  const lines: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((text: string) => void lines.push(text));
  onTestFinished(() => {
    log.mockRestore();
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });
  process.chdir(folder);
  const program = new URL('../app/quantize.js', import.meta.url).href;
  await import(/* @vite-ignore */ program);
  expect(lines).toEqual(shown.slice(-lines.length));
  expect(lines.length).toBe(3);
});

it('the README shows the packages that quantisation needs, and the limits', () => {
  const manifest = JSON.parse(
    readFileSync(fileURLToPath(new URL('../package.json', import.meta.url)), 'utf8'),
  );
  const ours = shown.flatMap((line) => /^ {2}(@frugal\/\S+)/.exec(line)?.[1] ?? []);
  expect(ours).toEqual(Object.keys(manifest.dependencies).sort());
  const source = readFileSync(fileURLToPath(new URL('../src/main.ts', import.meta.url)), 'utf8');
  const [, own, all] = /LIMITS = \{ ours: (\d+)e6, all: (\d+)e6 \}/.exec(source) as RegExpExecArray;
  expect(shown.find((line) => line.startsWith('our packages'))).toMatch(new RegExp(`of ${own} MB$`));
  expect(shown.find((line) => line.startsWith('the whole install'))).toMatch(new RegExp(`of ${all} MB$`));
});
