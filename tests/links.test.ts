import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

/** Links between our pages lead somewhere: files, folders, and headings. Links to other sites are not followed. */
const root = fileURLToPath(new URL('..', import.meta.url));
const ignored = new Set([
  'node_modules',
  'dist',
  '.cache',
  '.tools',
  '.git',
  '.ci',
  'runs',
  'build',
  '.changeset',
]);

async function pagesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ignored.has(entry.name) ? [] : pagesIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
  return (await Promise.all(found)).flat();
}

const withoutCode = (text: string) => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '``');

/** GitHub's ids of the headings of a page. */
function anchorsOf(text: string): Set<string> {
  const headings = withoutCode(text.replace(/`([^`\n]*)`/g, '$1')).matchAll(/^#+ +(.*)$/gm);
  return new Set(
    [...headings].map(([, heading]) =>
      heading
        .trim()
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/ /g, '-'),
    ),
  );
}

const pages = await pagesIn(root);

it('pages are found', () => {
  expect(pages.length).toBeGreaterThan(40);
});

it.each(pages.map((page) => relative(root, page)))('%s links to what is there', async (name) => {
  const page = join(root, name);
  const links = [...withoutCode(await readFile(page, 'utf8')).matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)];
  const broken: string[] = [];
  for (const [, link] of links) {
    if (/^[a-z]+:/i.test(link)) continue;
    const [path, anchor] = decodeURI(link).split('#');
    const target = path === '' ? page : join(dirname(page), path);
    if (!existsSync(target)) broken.push(link);
    else if (anchor && target.endsWith('.md') && !anchorsOf(await readFile(target, 'utf8')).has(anchor))
      broken.push(link);
  }
  expect(broken).toEqual([]);
});
