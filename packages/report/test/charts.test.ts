import { describe, expect, it } from 'vitest';
import { barChart, lineChart, scatterChart } from '../src/index.js';
import { descendants, find, parseMarkup } from './support/markup.js';

const hostile = `"><script>alert(1)</script><g onload='x' &amp; \u0000\ud800]]>`;
const odd = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  1e308,
  -1e308,
  0,
  -0,
  5e-324,
  1e-300,
];

function expectSound(svg: string): ReturnType<typeof parseMarkup> {
  const root = parseMarkup(svg);
  for (const { name, attributes } of descendants(root)) {
    expect(name).not.toBe('script');
    for (const [key, value] of attributes) {
      expect(key).not.toMatch(/^on/);
      if (key !== 'aria-label')
        expect(value, `${name} ${key}`).not.toMatch(/NaN|Infinity|undefined|null|e\+/);
    }
  }
  return root;
}

describe('lineChart', () => {
  const options = {
    title: 'Loss',
    xLabel: 'tokens',
    yLabel: 'bits per byte',
    series: [
      { name: 'teacher', points: [[0, 3] as const, [1e6, 2] as const, [2e6, 1.5] as const] },
      { name: 'student', points: [[0, 3.2] as const, [1e6, 1.6] as const] },
    ],
  };

  it('draws one path per series and names it at its end', () => {
    const root = expectSound(lineChart(options));
    expect(find(root, 'path', 'line')).toHaveLength(2);
    // From top to bottom: the student ends higher.
    expect(find(root, 'text', 'label').map(({ text }) => text)).toEqual(['student', 'teacher']);
    expect(find(root, 'text', 'title')[0].text).toBe('Loss');
    const ticks = find(root, 'text', 'value').map(({ text }) => text);
    expect(ticks).toEqual(['1.5', '2', '2.5', '3', '3.5', '0', '500 k', '1 M', '1.5 M', '2 M']);
  });

  it('keeps labels apart that end at the same place', () => {
    const series = Array.from({ length: 8 }, (_, i) => ({
      name: `run ${i}`,
      points: [[0, 1] as const, [1, 2] as const],
    }));
    const labels = find(expectSound(lineChart({ ...options, series })), 'text', 'label');
    const heights = labels.map(({ attributes }) => Number(attributes.get('y'))).sort((a, b) => a - b);
    for (let i = 1; i < heights.length; i++) expect(heights[i] - heights[i - 1]).toBeGreaterThanOrEqual(15);
    expect(heights[0]).toBeGreaterThan(0);
    expect(heights[7]).toBeLessThan(420);
  });

  it('leaves a gap where a value is missing', () => {
    const points = [
      [0, 1],
      [1, 2],
      [2, Number.NaN],
      [3, 2],
      [4, 1],
      [5, Number.POSITIVE_INFINITY],
      [6, 1],
    ] as const;
    const root = expectSound(lineChart({ ...options, series: [{ name: 'a', points }] }));
    expect(find(root, 'path', 'line')).toHaveLength(2);
    expect(find(root, 'circle', 'mark')).toHaveLength(2); // the lonely last point, and its end mark
  });

  it('stays small with many points and keeps their extremes', () => {
    const points = Array.from({ length: 100_000 }, (_, i) => [i, i === 54_321 ? 9 : Math.sin(i)] as const);
    const svg = lineChart({ ...options, series: [{ name: 'long', points }] });
    expect(svg.length).toBeLessThan(60_000);
    const heights = [...svg.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, , y]) => Number(y));
    const flat = lineChart({
      ...options,
      series: [
        {
          name: 'long',
          points: [
            [0, 9],
            [1, -1],
          ],
        },
      ],
    });
    const top = Math.min(...[...flat.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, , y]) => Number(y)));
    expect(Math.min(...heights)).toBeCloseTo(top, 0);
  });
});

describe('barChart', () => {
  it('draws bars from zero with their numbers and whiskers', () => {
    const root = expectSound(
      barChart({
        title: 'Bits per byte',
        xLabel: 'bits per byte',
        categories: ['English', '中文'],
        series: [
          { name: 'alone', values: [1.7, 1.9], intervals: [[1.6, 1.8], null] },
          { name: 'distilled', values: [1.5, null] },
        ],
        numbers: { decimals: 2 },
      }),
    );
    expect(find(root, 'path', 'bar')).toHaveLength(3);
    expect(find(root, 'path', 'whisker')).toHaveLength(1);
    expect(find(root, 'title').map(({ text }) => text)).toContain('English, distilled: 1.50');
    const legend = find(root, 'rect', 'bar');
    expect(legend).toHaveLength(2);
  });

  it('draws negative values to the left of zero', () => {
    const root = expectSound(
      barChart({ title: 't', xLabel: 'x', categories: ['a', 'b'], series: [{ name: 's', values: [-5, 5] }] }),
    );
    const [left, right] = find(root, 'path', 'bar').map(
      ({ attributes }) => attributes.get('d')!.match(/^M([\d.]+) [\d.]+H([\d.]+)/)!,
    );
    expect(Number(left[2])).toBeLessThan(Number(left[1]));
    expect(Number(right[2])).toBeGreaterThan(Number(right[1]));
    expect(left[1]).toBe(right[1]);
  });
});

describe('scatterChart', () => {
  const points = [
    { x: 10, y: 1, label: 'big' },
    { x: 5, y: 1.1, label: 'middle' },
    { x: 1, y: 2, label: 'small' },
    { x: 6, y: 1.5, label: 'dominated' },
  ];

  it('draws guides behind the points and makes room for them', () => {
    const root = expectSound(
      scatterChart({
        title: 'Roofline',
        xLabel: 'operations per byte',
        yLabel: 'speed',
        xScale: 'log',
        yScale: 'log',
        guides: [
          {
            name: 'peak <f32>',
            points: [
              [1, 10],
              [100, 1000],
              [1000, 1000],
            ],
          },
          { name: 'nothing', points: [[0, Number.NaN]] },
        ],
        series: [{ name: 'kernels', points: [{ x: 50, y: 300 }] }],
      }),
    );
    const guides = find(root, 'path', 'axis').filter((path) => path.attributes.get('fill') === 'none');
    expect(guides).toHaveLength(1);
    expect(guides[0].attributes.get('d')!.match(/[ML]/g)).toHaveLength(3);
    expect(find(root, 'text', 'muted').some((label) => label.text.includes('peak &lt;f32&gt;'))).toBe(true);
  });

  it('joins the frontier by a staircase that leaves dominated points out', () => {
    const svg = scatterChart({
      title: 't',
      xLabel: 'MB',
      yLabel: 'loss',
      xScale: 'log',
      series: [{ name: 's', points }],
      frontier: { x: 'lowest', y: 'lowest' },
    });
    const root = expectSound(svg);
    expect(find(root, 'circle', 'mark')).toHaveLength(4);
    const [path] = find(root, 'path', 'frontier');
    expect(path.attributes.get('d')!.match(/[ML]/g)).toHaveLength(5); // three points, two corners
  });

  it('writes every label, none over another', () => {
    const crowded = Array.from({ length: 5 }, (_, i) => ({ x: 1 + i / 100, y: 1, label: `model ${i}` }));
    const spread = [...crowded, { x: 9, y: 9 }];
    const root = expectSound(
      scatterChart({ title: 't', xLabel: 'x', yLabel: 'y', series: [{ name: 's', points: spread }] }),
    );
    const labels = find(root, 'text', 'label').map(
      ({ attributes }) => `${attributes.get('x')} ${attributes.get('y')}`,
    );
    expect(new Set(labels).size).toBe(5);
  });
});

describe('every chart', () => {
  const charts: [string, (values: readonly number[], text: string) => string][] = [
    [
      'line',
      (values, text) =>
        lineChart({
          title: text,
          subtitle: text,
          xLabel: text,
          yLabel: text,
          series: [
            { name: text, points: values.map((v, i) => [i, v]) },
            { name: text, points: values.map((v) => [v, v]) },
          ],
        }),
    ],
    [
      'log line',
      (values, text) =>
        lineChart({
          title: text,
          xLabel: text,
          yLabel: text,
          xScale: 'log',
          yScale: 'log',
          series: [{ name: text, points: values.map((v) => [v, v]) }],
        }),
    ],
    [
      'bar',
      (values, text) =>
        barChart({
          title: text,
          xLabel: text,
          categories: values.map(() => text),
          series: [{ name: text, values, intervals: values.map((v) => [v, v] as const) }],
        }),
    ],
    [
      'scatter',
      (values, text) =>
        scatterChart({
          title: text,
          xLabel: text,
          yLabel: text,
          yScale: 'log',
          frontier: { x: 'lowest', y: 'highest' },
          series: [{ name: text, points: values.map((v) => ({ x: v, y: v, label: text })) }],
        }),
    ],
  ];

  it.each(charts)('%s: hostile text stays text', (_, draw) => {
    const root = expectSound(draw([1, 2, 3], hostile));
    expect(find(root, 'text').some(({ text }) => text.includes('&lt;script&gt;'))).toBe(true);
  });

  it.each(charts)('%s: odd numbers never reach a coordinate', (_, draw) => {
    for (const value of odd) expectSound(draw([value, 1, 2], 'a'));
    expectSound(draw(odd, 'a'));
  });

  it.each(charts)('%s: says that there is no data', (_, draw) => {
    const root = expectSound(draw([], 'a'));
    expect(find(root, 'text').map(({ text }) => text)).toContain('no data');
  });
});
