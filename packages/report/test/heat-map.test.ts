import { describe, expect, it } from 'vitest';
import { heatMap } from '../src/index.js';

const options = {
  title: 'Load <of> experts',
  xLabel: 'expert',
  yLabel: 'layer',
  columns: ['0', '1', '2'],
  rows: ['blocks.0', 'blocks.1'],
};

describe('heatMap', () => {
  it('draws each value with a strength relative to the largest', () => {
    const svg = heatMap({
      ...options,
      values: [
        [0, 1, 2],
        [4, null, Number.NaN],
      ],
    });
    const strengths = [...svg.matchAll(/fill-opacity="([\d.]+)"/g)].map(([, value]) => Number(value));
    expect(strengths).toEqual([0, 0.25, 0.5, 1]);
    expect(svg).toContain('blocks.1, 0: 4');
    expect(svg).toContain('Load &lt;of&gt; experts');
  });

  it('takes a maximum that several maps share, and survives emptiness', () => {
    const svg = heatMap({ ...options, values: [[1, 9, 0], []], maximum: 2 });
    expect([...svg.matchAll(/fill-opacity="([\d.]+)"/g)].map(([, value]) => Number(value))).toEqual([
      0.5, 1, 0,
    ]);
    expect(heatMap({ ...options, rows: [], columns: [], values: [] })).toContain('no data');
  });
});
