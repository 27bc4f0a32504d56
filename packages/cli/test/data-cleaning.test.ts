import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

async function writeLines(name: string, values: readonly unknown[]): Promise<string> {
  await writeFile(at(name), values.map((value) => `${JSON.stringify(value)}\n`).join(''));
  return at(name);
}

async function linesOf(name: string) {
  return (await readFile(at(name), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const question = 'Which of these planets has the largest number of known moons and the brightest of rings?';
const pages = [
  { text: 'A page about how copper is mined, sold and melted in the far north of the country.' },
  { text: `An exam. ${question} Saturn.` },
  { text: 'A page about how copper is mined, sold and melted in the far north of the country.' },
  { text: 'A PAGE about how copper is mined, sold, and melted in the far north of the country' },
  { text: '却说曹操败走华容道，关云长义释之。' },
];
await writeLines('pages.jsonl', pages);
await writeLines('exam.jsonl', [{ question, choices: ['Saturn', 'Mars'], answer: 0 }]);

describe('data dedup and decontaminate', () => {
  it('promise with --dry-run what they then do', async () => {
    const args = ['data', 'dedup', at('pages.jsonl'), '--out', at('unique.jsonl'), '--json'];
    const planned = await frugal([...args, '--dry-run']);
    expect(existsSync(at('unique.jsonl'))).toBe(false);
    const done = await frugal([...args, '--removed', at('copies.jsonl')]);
    expect([done.code, done.err]).toEqual([0, '']);
    expect(done.out).toBe(planned.out);
    expect(JSON.parse(done.out)).toMatchObject({
      documents: 5,
      kept: 3,
      removed: { 'exact copy': 1, 'near copy': 1 },
    });
    expect((await linesOf('unique.jsonl')).map(({ text }) => text)).toEqual(
      [0, 1, 4].map((i) => pages[i].text),
    );
    expect((await linesOf('copies.jsonl')).map(({ reason }) => reason)).toEqual(['exact copy', 'near copy']);
  });

  it('carry along a card that tells of every step', async () => {
    const args = ['--against', at('exam.jsonl'), '--out', at('clean.jsonl'), '--removed', at('leaks.jsonl')];
    const { code, out } = await frugal(['data', 'decontaminate', at('unique.jsonl'), ...args]);
    expect(code).toBe(0);
    expect(out).toMatch(/shares a run with .*exam\.jsonl +1 +33\.3 %/);
    expect((await linesOf('leaks.jsonl'))[0].text).toContain(question);
    const card = JSON.parse(await readFile(at('clean.lineage.json'), 'utf8'));
    expect(card.steps.map(({ step }: { step: string }) => step)).toEqual(['dedup', 'decontaminate']);
    expect(card.steps[1]).toMatchObject({
      inputs: [{ file: at('unique.jsonl'), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      parameters: { length: 13 },
      counts: { documents: 3, kept: 2 },
    });
  });

  it('name the input as it was, also where the output replaces it', async () => {
    const { hashFile } = await import('@frugal/checkpoint');
    await writeLines('own.jsonl', pages);
    const before = await hashFile(at('own.jsonl'));
    const { code } = await frugal(['data', 'dedup', at('own.jsonl'), '--out', at('own.jsonl'), '--force']);
    expect(code).toBe(0);
    expect(await hashFile(at('own.jsonl'))).not.toBe(before);
    const card = JSON.parse(await readFile(at('own.lineage.json'), 'utf8'));
    expect(card.steps[0].inputs[0].sha256).toBe(before);
  });

  it('leave no documents without a card where it cannot be written', async () => {
    await mkdir(at('cardless.lineage.json/full'), { recursive: true }); // no file can take this place
    const args = [at('pages.jsonl'), '--out', at('cardless.jsonl'), '--force'];
    expect((await frugal(['data', 'dedup', ...args])).code).toBe(1);
    expect(existsSync(at('cardless.jsonl'))).toBe(false);
  });

  it('refuse to make something of nothing, and replace nothing by it', async () => {
    await writeFile(at('nothing.jsonl'), '\n{"text": ""}\n');
    await frugal(['data', 'train-tokenizer', at('pages.jsonl'), '--out', at('words'), '--vocabulary', '300']);
    const own: Record<string, string[]> = {
      clean: [],
      dedup: [],
      decontaminate: ['--against', at('exam.jsonl')],
      select: ['--like', at('pages.jsonl')],
      split: [],
      'train-tokenizer': [],
      pack: ['--tokenizer', at('words')],
    };
    await mkdir(at('kept'));
    await writeFile(at('kept/train.jsonl'), 'was here');
    await writeFile(at('kept/shard-00000.safetensors'), '');
    await writeLines('kept.jsonl', pages);
    for (const [verb, options] of Object.entries(own)) {
      const file = ['clean', 'dedup', 'decontaminate', 'select'].includes(verb);
      const out = at(file ? 'kept.jsonl' : 'kept');
      for (const more of [[], ['--dry-run']]) {
        const args = [at('nothing.jsonl'), ...options, '--out', out, '--force', ...more];
        const { code, err } = await frugal(['data', verb, ...args]);
        expect(err).toMatch(
          /^error: \[[\w-]+\] the files hold no documents: got .*nothing\.jsonl; expected at least one with text\. /m,
        );
        expect([verb, code]).toEqual([verb, 1]);
      }
    }
    expect(await readFile(at('kept/train.jsonl'), 'utf8')).toBe('was here');
    expect(await linesOf('kept.jsonl')).toHaveLength(pages.length);
  });

  it('go on in the folders of split and pack', async () => {
    await frugal(['data', 'split', at('clean.jsonl'), '--out', at('split')]);
    const card = JSON.parse(await readFile(at('split/lineage.json'), 'utf8'));
    expect(card.steps.map(({ step }: { step: string }) => step)).toEqual(['dedup', 'decontaminate', 'split']);
    await frugal([
      'data',
      'train-tokenizer',
      at('pages.jsonl'),
      '--out',
      at('tokenizer'),
      '--vocabulary',
      '300',
    ]);
    await frugal([
      'data',
      'pack',
      at('split/train.jsonl'),
      '--tokenizer',
      at('tokenizer'),
      '--out',
      at('packed'),
    ]);
    const packed = JSON.parse(await readFile(at('packed/lineage.json'), 'utf8'));
    expect(packed.steps).toEqual([...card.steps, expect.objectContaining({ step: 'pack' })]);
  });

  it('lose nothing where something is wrong', async () => {
    const again = await frugal(['data', 'dedup', at('pages.jsonl'), '--out', at('unique.jsonl')]);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('--force')]);
    await writeFile(at('broken.jsonl'), '{"text":"fine"}\n{"text":\n');
    const broken = await frugal([
      'data',
      'dedup',
      at('broken.jsonl'),
      '--out',
      at('unique.jsonl'),
      '--force',
    ]);
    expect([broken.code, broken.err]).toEqual([1, expect.stringMatching(/broken\.jsonl:2\]/)]);
    expect(await linesOf('unique.jsonl')).toHaveLength(3);
    await writeLines('short.jsonl', [{ question: 'Why?' }]);
    const short = ['--against', at('short.jsonl'), '--out', at('none.jsonl')];
    const nothing = await frugal(['data', 'decontaminate', at('pages.jsonl'), ...short]);
    expect([nothing.code, nothing.err]).toEqual([1, expect.stringMatching(/long enough/)]);
  });
});

describe('data clean', () => {
  it('says what each rule removed', async () => {
    await writeLines('raw.jsonl', [
      { text: '短。' },
      { text: 'half \ud83d' },
      { text: ' \n' },
      {
        text: `却说曹操败走华容道，关云长义释之。\r\n${[...'天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏'].join('')}。${[...'闰余成岁律吕调阳云腾致雨露结为霜'].join('')}。`,
      },
    ]);
    const { code, out } = await frugal([
      'data',
      'clean',
      at('raw.jsonl'),
      '--out',
      at('prose.jsonl'),
      '--repair',
      '--json',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      kept: 1,
      removed: { 'too few characters': 1, 'language: other': 1, empty: 1 },
    });
    expect((await linesOf('prose.jsonl'))[0].text).not.toContain('\r');
  });

  it('refuses rules and languages that are none', async () => {
    const args = ['data', 'clean', at('raw.jsonl'), '--out', at('other.jsonl')];
    const rule = await frugal([...args, '--without', 'shrt lines']);
    expect([rule.code, rule.err]).toEqual([
      2,
      expect.stringMatching(/--without\].*shrt lines; expected .*short lines/),
    ]);
    expect((await frugal([...args, '--languages', 'xx'])).code).toBe(2);
  });
});

describe('data select', () => {
  it('keeps what is like a domain', async () => {
    const about = (subject: string, count: number) =>
      Array.from({ length: count }, (_, i) => ({ text: `On day ${i} they spoke of ${subject} at length.` }));
    await writeLines('like.jsonl', about('doctors and drugs', 40));
    await writeLines('mixed.jsonl', [
      ...about('patients, doctors and drugs', 10),
      ...about('masts and sails', 90),
    ]);
    const args = [
      'data',
      'select',
      at('mixed.jsonl'),
      '--like',
      at('like.jsonl'),
      '--out',
      at('selected.jsonl'),
    ];
    const { code, err } = await frugal(args);
    expect([code, err]).toEqual([0, '']);
    const kept = (await linesOf('selected.jsonl')).map(({ text }) => text);
    expect(kept).toHaveLength(10);
    expect(kept.every((text: string) => text.includes('doctors'))).toBe(true);
    const card = JSON.parse(await readFile(at('selected.lineage.json'), 'utf8'));
    expect(card.steps[0].parameters.examples).toEqual([40, 100]);
  });
});

describe('data clean', () => {
  it('refuses text that is not quite right, and mends it with --repair', async () => {
    const prose =
      'The fox of the story is known to have met a crow in the wood that had a piece of cheese with it.';
    await writeFile(at('broken.csv'), Buffer.from(`body\n"${prose} caf\xe9."\n`, 'latin1'));
    const args = ['data', 'clean', at('broken.csv'), '--text-field', 'body', '--out', at('mended.jsonl')];
    const refused = await frugal([...args]);
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringMatching(/broken\.csv:2.*not UTF-8.*--repair/),
    ]);
    const done = await frugal([...args, '--repair', '--dry-run']);
    expect([done.code, done.err]).toEqual([0, '']);
  });
});
