import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

/**
 * Every TypeScript snippet of our pages compiles, and runs. A comment `<!-- given: declare const model: … -->` before a
 * snippet declares what the reader is supposed to have; such a snippet is compiled only.
 */
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'tests/.snippets');

interface Snippet {
  readonly page: string;
  readonly file: string;
  readonly code: string;
  readonly given: string | undefined;
}

async function pages(): Promise<string[]> {
  const packages = (await readdir(join(root, 'packages'))).map((name) => `packages/${name}/README.md`);
  const docs = (await readdir(join(root, 'docs')))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`);
  return ['README.md', ...packages, ...docs];
}

async function snippetsOf(page: string): Promise<Snippet[]> {
  const text = await readFile(join(root, page), 'utf8').catch(() => '');
  const blocks = [...text.matchAll(/(?:<!-- given: ([\s\S]*?)-->\s*)?```ts\n([\s\S]*?)```/g)];
  return blocks.map(([, given, code], i) => ({
    page,
    code,
    given,
    file: join(folder, `${page.replace(/\W+/g, '-')}-${i}.ts`),
  }));
}

const snippets = (await Promise.all((await pages()).map(snippetsOf))).flat();

beforeAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const { file, code, given } of snippets)
    await writeFile(file, `${given ?? ''}\n${code}\nexport {};\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('snippets', () => {
  it('are found', () => {
    expect(snippets.length).toBeGreaterThan(10);
  });

  it('compile', () => {
    const config = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile).config;
    const { options } = ts.parseJsonConfigFileContent(
      { ...config, files: snippets.map(({ file }) => file) },
      ts.sys,
      root,
    );
    const program = ts.createProgram(
      snippets.map(({ file }) => file),
      { ...options, noEmit: true, types: ['node'] },
    );
    const errors = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => file?.fileName.startsWith(folder))
      .map(
        ({ file, messageText }) =>
          `${relative(folder, file?.fileName ?? '')}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
      );
    expect(errors).toEqual([]);
  });

  it.each(snippets.filter(({ given }) => given === undefined))('$page runs', async ({ file }) => {
    const directory = await mkdtemp(join(tmpdir(), 'frugal-snippet-'));
    const before = process.cwd();
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    try {
      process.chdir(directory);
      await import(/* @vite-ignore */ file);
    } finally {
      process.chdir(before);
      log.mockRestore();
      await rm(directory, { recursive: true });
    }
  });
});
