import { expect, it } from 'vitest';
import { barChart, htmlPage } from '../src/index.js';

const chart = barChart({ title: 'c', xLabel: 'x', categories: ['a'], series: [{ name: 's', values: [1] }] });

it('is one file that loads and runs nothing', () => {
  const html = htmlPage({
    title: 'Report',
    subtitle: 'Node 20, 2 cores',
    sections: [
      { title: 'Results', text: ['One.', 'Two.'], table: { columns: [{ title: 'n' }], rows: [[1]] } },
      { charts: [chart] },
    ],
  });
  expect(html.startsWith('<!doctype html>')).toBe(true);
  expect(html).toContain('<p>One.</p>\n<p>Two.</p>');
  expect(html).toContain(chart);
  expect(html).toContain('prefers-color-scheme:dark');
  expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(
    /https?:|<script|<link|@import|url\(/,
  );
});

it('escapes all text', () => {
  const text = '<img src=x onerror=alert(1)>';
  const html = htmlPage({ title: text, subtitle: text, language: '"><b', sections: [{ title: text, text }] });
  expect(html).not.toContain('<img');
  expect(html).toContain('<html lang="&quot;&gt;&lt;b">');
});
