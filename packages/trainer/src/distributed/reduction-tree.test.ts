import { describe, expect, it } from 'vitest';
import { nodesOf, ReductionTree } from './reduction-tree.js';

const add = (a: string, b: string) => `(${a}+${b})`;

/** The sum of leaves 0 … count-1 that were divided at `cuts`. */
function sumOf(count: number, cuts: readonly number[]): string {
  const result = new ReductionTree<string>(add);
  const bounds = [0, ...cuts, count];
  for (let part = 0; part + 1 < bounds.length; part++) {
    const tree = new ReductionTree<string>(add);
    for (let index = bounds[part]; index < bounds[part + 1]; index++)
      tree.push({ level: 0, index }, String(index));
    expect(tree.nodes().map(({ node }) => node)).toEqual(nodesOf(bounds[part], bounds[part + 1]));
    for (const { node, value } of tree.nodes()) result.push(node, value);
  }
  return result.finish(count);
}

describe('ReductionTree', () => {
  it('adds pairs of pairs, and what is left at the right edge', () => {
    expect(sumOf(1, [])).toBe('0');
    expect(sumOf(4, [])).toBe('((0+1)+(2+3))');
    expect(sumOf(7, [])).toBe('(((0+1)+(2+3))+((4+5)+6))');
    expect(sumOf(9, [])).toBe('((((0+1)+(2+3))+((4+5)+(6+7)))+8)');
  });

  it('adds in the same order for every division into ranges', () => {
    for (let count = 1; count <= 17; count++) {
      const whole = sumOf(count, []);
      for (let a = 1; a < count; a++) {
        expect(sumOf(count, [a])).toBe(whole);
        for (let b = a + 1; b < count; b++) expect(sumOf(count, [a, b])).toBe(whole);
      }
    }
  });

  it('notices that leaves are missing', () => {
    const tree = new ReductionTree<string>(add);
    tree.push({ level: 0, index: 0 }, '0');
    tree.push({ level: 0, index: 3 }, '3');
    expect(() => tree.finish(4)).toThrow(/missing/);
  });
});
