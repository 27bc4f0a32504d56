import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDocuments } from './documents.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-data-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function documentsOf(name: string, content: string | Uint8Array) {
  const file = join(folder, name);
  await writeFile(file, content);
  const documents = [];
  for await (const document of readDocuments([file])) documents.push(document);
  return { file, documents };
}

describe('readDocuments', () => {
  it('takes a text file as one document', async () => {
    const { file, documents } = await documentsOf('a.txt', '\uFEFF第一回\n\nline two\n');
    expect(documents).toEqual([{ id: file, text: '第一回\n\nline two\n' }]);
  });

  it('takes each line of a JSONL file as one', async () => {
    const lines = [
      '{"text":"一","label":"Chinese"}',
      '',
      '{"text":"b","id":"mine"}\r',
      '{"text":""}',
      '{"text":"c"}',
    ];
    const { file, documents } = await documentsOf('b.jsonl', lines.join('\n'));
    expect(documents).toEqual([
      { id: `${file}:1`, text: '一', label: 'Chinese' },
      { id: 'mine', text: 'b' },
      { id: `${file}:5`, text: 'c' },
    ]);
  });

  it('keeps characters whole that lie across two pieces of a file', async () => {
    const text = '玄德'.repeat(50_000);
    const lines = [`{"text":"x${text}"}`, `{"text":"xx${text}"}`].join('\n');
    const { documents } = await documentsOf('c.jsonl', lines);
    expect(documents.map((document) => document.text)).toEqual([`x${text}`, `xx${text}`]);
  });

  it.each([
    ['d.jsonl', '{"text":"a"}\n{"text":', /d\.jsonl:2\] the line is not JSON/],
    [
      'e.jsonl',
      '{"content":"a"}',
      /e\.jsonl:1\] the record has no text in the field "text": got \{"content":"a"\}/,
    ],
    ['f.jsonl', 'null', /f\.jsonl:1\] the record has no text/],
    ['g.jsonl', Buffer.from('{"text":"\xe9"}', 'latin1'), /g\.jsonl:1 at 9\] not UTF-8/],
    ['h.txt', Buffer.from('\xe9', 'latin1'), /h\.txt at 0\] not UTF-8/],
  ])('refuses %s', async (name, content, message) => {
    await expect(documentsOf(name, content)).rejects.toThrow(message);
  });

  it('refuses files that are not there', async () => {
    await expect(readDocuments([join(folder, 'nowhere')]).next()).rejects.toThrow(/no such file/);
  });
});
