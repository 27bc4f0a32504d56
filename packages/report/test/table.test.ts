import { describe, expect, it } from 'vitest';
import { type Column, displayWidth, htmlTable, renderTable } from '../src/index.js';

const columns: Column[] = [
  { title: 'model' },
  { title: 'parameters' },
  { title: 'size', format: 'bytes' },
  { title: 'bits/byte', decimals: 3 },
  { title: 'training', format: 'duration' },
];
const rows = [
  ['teacher', 2_480_000, 9_920_000, 1.515, 74.2],
  ['学生', 730_000, 2_920_000, 1.6111, null],
];

describe('renderTable', () => {
  it('aligns text to the left, numbers to the right, by cells and not by characters', () => {
    expect(renderTable(columns, rows)).toBe(
      [
        'model    parameters     size  bits/byte    training',
        '───────  ──────────  ───────  ─────────  ──────────',
        'teacher      2.48 M  9.92 MB      1.515  1 min 14 s',
        '学生          730 k  2.92 MB      1.611           –',
      ].join('\n'),
    );
  });

  it('marks the best number without moving the others', () => {
    const lines = renderTable(columns.slice(0, 4), rows, {
      best: [{ column: 3, direction: 'lowest' }],
    }).split('\n');
    expect(lines[2].endsWith('1.515 *')).toBe(true);
    expect(lines[3].indexOf('1.611') + lines[3].match(/学生/)![0].length).toBe(lines[2].indexOf('1.515'));
  });

  it('shortens long text to the width of the terminal', () => {
    const long = [['a'.repeat(200), 1, 2, 3, 4]];
    const lines = renderTable(columns, long, { maxWidth: 60 }).split('\n');
    expect(Math.max(...lines.map(displayWidth))).toBe(60);
    expect(lines[2]).toContain('…');
  });

  it('lets no cell break the table or steer the terminal', () => {
    const text = renderTable([{ title: 'na\nme' }], [['two\nlines'], ['\u001b[2J']]);
    expect(text.split('\n')).toHaveLength(4);
    expect(text).not.toContain('\u001b');
  });

  it('takes tables without rows', () => {
    expect(renderTable([{ title: 'a' }], [])).toBe('a\n─');
  });
});

describe('htmlTable', () => {
  it('has the same cells, escaped', () => {
    const html = htmlTable(
      [{ title: '<model>' }, { title: 'n' }],
      [
        ['</td><script>alert(1)</script>', 5],
        ['b', 7],
      ],
      {
        best: [{ column: 1, direction: 'highest' }],
      },
    );
    expect(html).toContain('<th scope="col">&lt;model&gt;</th><th scope="col" class="number">n</th>');
    expect(html).toContain(
      '<td>&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;</td><td class="number">5</td>',
    );
    expect(html).toContain('<td class="number"><strong>7</strong></td>');
  });
});
