import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDocuments, readRecords } from './documents.js';
import { LONGEST_LINE } from './lines.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-sources-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function save(name: string, content: string | Uint8Array): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, content);
  return file;
}

async function documentsOf(file: string, options: Parameters<typeof readDocuments>[1] = {}) {
  const documents = [];
  for await (const document of readDocuments([file], options)) documents.push(document);
  return documents;
}

const read = async (name: string, content: string | Uint8Array, options = {}) =>
  documentsOf(await save(name, content), options);

/** A zip archive of stored files, as the format says (PKWARE APPNOTE 6.3, §4.3). */
function zipOf(files: Record<string, Buffer>, { encrypted = false } = {}): Buffer {
  const table = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
  });
  const crc = (bytes: Buffer) =>
    ~bytes.reduce((value, byte) => table[(value ^ byte) & 255] ^ (value >>> 8), -1) >>> 0;
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(encrypted ? 1 : 0x800, 2);
    shared.writeUInt32LE(crc(content), 10);
    shared.writeUInt32LE(content.length + (encrypted ? 12 : 0), 14); // encryption has a header
    shared.writeUInt32LE(content.length, 18);
    shared.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), shared, Buffer.from(name), content]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    centrals.push(
      Buffer.concat([Buffer.from('PK\x01\x02\x14\x00', 'latin1'), shared, rest, Buffer.from(name)]),
    );
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(locals.length, 4);
  end.writeUInt16LE(locals.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, directory, Buffer.from('PK\x05\x06', 'latin1'), end]);
}

/** One Zstandard frame of one uncompressed block (RFC 8878, §3.1). */
function zstandardOf(content: Buffer): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((content.length << 3) | 1, 0, 3);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(content.length);
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0]), size, header, content]);
}

describe('compressed files', () => {
  const lines = Buffer.from('{"text":"一"}\n{"text":"two","id":7}\n');

  it.each([
    ['a.jsonl.gz', gzipSync(lines)],
    ['a.jsonl.zst', zstandardOf(lines)],
    ['two-members.jsonl.gz', Buffer.concat([gzipSync(lines.subarray(0, 10)), gzipSync(lines.subarray(10))])],
  ])('%s reads like the file itself', async (name, content) => {
    const documents = await read(name, content);
    expect(documents).toEqual([
      { id: `${join(folder, name)}:1`, text: '一' },
      { id: '7', text: 'two' },
    ]);
  });

  it('an archive gives its files, whatever they hold', async () => {
    const file = await save(
      'books.zip',
      zipOf({
        'a.txt': Buffer.from('却说曹操'),
        '__MACOSX/._a.txt': Buffer.from('junk'),
        'deep/b.jsonl.gz': gzipSync(lines),
        'c.csv': Buffer.from('text\nthree\n'),
      }),
    );
    const documents = await documentsOf(file);
    expect(documents.map(({ text }) => text)).toEqual(['却说曹操', '一', 'two', 'three']);
    expect(documents[0].id).toBe(`${file}:a.txt`);
  });

  it.each([
    ['cut.jsonl.gz', gzipSync(lines).subarray(0, 30), /damaged or cut off/],
    ['plain.jsonl.gz', lines, /damaged or cut off/],
    ['plain.jsonl.zst', lines, /damaged or cut off/],
    ['cut.jsonl.zst', zstandardOf(lines).subarray(0, 30), /damaged or cut off/],
    ['plain.zip', lines, /no zip archive, or a damaged one/],
    [
      'secret.zip',
      zipOf({ 'a.txt': lines }, { encrypted: true }),
      /secret\.zip:a\.txt\] the file is encrypted/,
    ],
  ])('refuses %s', async (name, content, message) => {
    await expect(read(name, content)).rejects.toThrow(message);
  });

  it('an archive that is not there is said to be', async () => {
    await expect(documentsOf(join(folder, 'none.zip'))).rejects.toThrow(/no such file/);
  });
});

describe('CSV', () => {
  it('reads quotes, line breaks in cells and tabs', async () => {
    const documents = await read('a.csv', '\uFEFFid,text,label\r\n1,"a ""b"", c\nd",x\r\n2,第二,\r\n');
    expect(documents).toEqual([
      { id: '1', text: 'a "b", c\nd', label: 'x' },
      { id: '2', text: '第二' },
    ]);
    expect(await read('quoted.csv', '\uFEFF"id","text"\r\n1,x\r\n')).toEqual([{ id: '1', text: 'x' }]);
    expect(await read('a.tsv', 'text\tother\na, b\tc\n')).toEqual([
      { id: `${join(folder, 'a.tsv')}:2`, text: 'a, b' },
    ]);
  });

  it.each([
    ['more.csv', 'id,text\n1,ok\n2,x,y\n', /more\.csv:3\] a row has more or fewer cells/],
    ['open.csv', 'id,text\n1,"abc\n2,d\n', /a quote is never closed/],
    ['dup.csv', 'text,text\n1,2\n', /two columns have one name: got "text"/],
    ['latin.csv', Buffer.from('id,text\n1,caf\xe9\n', 'latin1'), /latin\.csv:2.*\] not UTF-8 text/],
    [
      'marked.csv',
      Buffer.concat([Buffer.from('\uFEFFid,text\n'), Buffer.from('1,caf\xe9\n', 'latin1')]),
      /marked\.csv:2.*\] not UTF-8 text/,
    ],
    ['wide.csv', Buffer.from('\uFEFFid,text\n1,x\n', 'utf16le'), /wide\.csv:1.*looks like UTF-16 LE/],
    ['other.csv', 'id,body\n1,x\n', /other\.csv:2\] the record has no text.*--text-field id/],
  ])('refuses %s', async (name, content, message) => {
    await expect(read(name, content)).rejects.toThrow(message);
  });

  it('says of a bad row behind many good ones which it is, and loses none before it', async () => {
    const good = 'i,ok\n'.repeat(50_000);
    const file = await save('late.csv', Buffer.from(`id,text\n${good}i,caf\xe9\n`, 'latin1'));
    let rows = 0;
    const all = (async () => {
      for await (const _ of readRecords(file)) rows++;
    })();
    await expect(all).rejects.toThrow(/late\.csv:50002/);
    expect(rows).toBe(50_000);
  });
});

describe('text that is not quite right', () => {
  const lone = '{"text":"cut \\ud83d here"}';

  it.each([
    ['lone.jsonl', lone, /lone\.jsonl:1\] half a character.*\\ud83d at character 4/],
    ['utf16.txt', Buffer.from('\ufefftext', 'utf16le'), /byte 0xff, which looks like UTF-16 LE/],
    ['gb.txt', Buffer.from([0x61, 0xb2, 0xdc, 0xb2, 0xd9]), /gb\.txt at 1\] not UTF-8 text: got byte 0xb2/],
    ['packed.jsonl', gzipSync('x'), /which looks like gzip/],
  ])('refuses %s', async (name, content, message) => {
    await expect(read(name, content)).rejects.toThrow(message);
  });

  it('repairs it when asked to', async () => {
    const options = { repair: true };
    expect((await read('lone2.jsonl', lone, options))[0].text).toBe('cut \uFFFD here');
    expect((await read('bad2.txt', Buffer.from([0x61, 0xb2, 0x62]), options))[0].text).toBe('a\uFFFDb');
    const csv = Buffer.from('text\ncaf\xe9\n', 'latin1');
    expect((await read('bad2.csv', csv, options))[0].text).toBe('caf\uFFFD');
  });

  it('refuses a line that does not end before it fills the memory', async () => {
    const file = await save('endless.jsonl', Buffer.alloc(LONGEST_LINE + 2 ** 20, 'x'));
    await expect(documentsOf(file)).rejects.toThrow(/endless\.jsonl:1\] the line does not end/);
  });
});

describe('records', () => {
  it('come from lists in .json too', async () => {
    const documents = await read('a.json', '[{"content":"x"},{"content":"y","id":3}]', {
      fields: { text: 'content' },
    });
    expect(documents.map(({ id, text }) => [id, text])).toEqual([
      [`${join(folder, 'a.json')}[0]`, 'x'],
      ['3', 'y'],
    ]);
    await expect(read('b.json', '{"text":"x"}')).rejects.toThrow(/the file holds no list: got object/);
  });

  it('name their fields when none is the one asked for', async () => {
    await expect(read('c.jsonl', '{"content":"x","n":1}')).rejects.toThrow(
      /no text in the field "text".*Fields with text: content\. Name one: --text-field content/,
    );
  });
});
