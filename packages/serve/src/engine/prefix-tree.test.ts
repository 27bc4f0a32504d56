import { PagePool } from '@frugal/tensor-core/generation';
import { describe, expect, it } from 'vitest';
import { PrefixTree } from './prefix-tree.js';

/** A tree over pages of two tokens, with texts that were read and whose requests are gone. */
function treeOf(texts: readonly (readonly number[])[], space: unknown = null) {
  const pool = new PagePool(12);
  const tree = new PrefixTree(pool, 2);
  const keep = (tokens: readonly number[]) => {
    let node = tree.root(space);
    for (let start = 0; start + 2 <= tokens.length; start += 2) {
      const page = pool.take();
      node = tree.add(node, tokens, start, page);
      pool.release(page);
    }
  };
  for (const text of texts) keep(text);
  const found = (tokens: readonly number[], limit = tokens.length) =>
    tree.match(tree.root(space), tokens, limit).length;
  return { pool, tree, keep, found };
}

describe('PrefixTree', () => {
  it('finds the longest beginning in whole pages', () => {
    const { tree, found } = treeOf([
      [1, 2, 3, 4, 5],
      [1, 2, 7, 8],
    ]);
    expect(tree.size).toBe(3);
    expect(found([1, 2, 3, 4, 5, 6])).toBe(2);
    expect(found([1, 2, 7, 8])).toBe(2);
    expect(found([1, 2, 7, 8], 3)).toBe(1);
    expect(found([2, 2])).toBe(0);
    expect(found([12, 3])).toBe(0);
  });

  it('never mixes spaces', () => {
    const { tree } = treeOf([[1, 2]], 'adapter');
    expect(tree.match(tree.root(null), [1, 2], 2)).toHaveLength(0);
    expect(tree.match(tree.root('adapter'), [1, 2], 2)).toHaveLength(1);
  });

  it('keeps one page per beginning', () => {
    const { pool, keep } = treeOf([[1, 2, 3, 4]]);
    expect(pool.freePages).toBe(10);
    keep([1, 2, 3, 4]);
    expect(pool.freePages).toBe(10);
  });

  it('evicts what was used longest ago, from the end of texts', () => {
    const { tree, pool, found } = treeOf([
      [1, 2, 3, 4],
      [5, 6],
      [1, 2, 7, 8],
    ]);
    tree.touch(tree.match(tree.root(null), [5, 6], 2)[0]);
    expect(tree.evict(2)).toBe(true);
    expect([found([1, 2, 3, 4]), found([1, 2, 7, 8]), found([5, 6])]).toEqual([1, 1, 1]);
    expect(tree.evict(1)).toBe(true);
    expect([found([1, 2]), found([5, 6])]).toEqual([0, 1]);
    expect(pool.freePages).toBe(11);
  });

  it('evicts nothing that is held, and all or nothing', () => {
    const { tree, pool, found } = treeOf([[1, 2, 3, 4]]);
    const [first] = tree.match(tree.root(null), [1, 2], 2);
    pool.retain(first.page);
    expect(tree.idle).toBe(1);
    expect(tree.evict(2)).toBe(false);
    expect(found([1, 2, 3, 4])).toBe(2);
    expect(tree.evict(1)).toBe(true);
    expect(found([1, 2, 3, 4])).toBe(1);
  });

  it('forgets a space; a text that goes on in it harms nothing', () => {
    const { tree, pool } = treeOf([[1, 2, 3, 4]], 'adapter');
    const path = tree.match(tree.root('adapter'), [1, 2, 3, 4], 4);
    tree.forget('adapter');
    expect([tree.size, pool.freePages]).toEqual([0, 12]);
    const page = pool.take();
    tree.touch(tree.add(path[1], [5, 6], 0, page));
    pool.release(page);
    expect(tree.match(tree.root('adapter'), [1, 2], 2)).toHaveLength(0);
    expect(tree.evict(1)).toBe(true);
    expect([tree.size, pool.freePages]).toEqual([0, 12]);
  });
});
