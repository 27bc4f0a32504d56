import { describe, expect, it } from 'vitest';
import { ArgumentError, memoryUsage, Random, scope } from '../index.js';
import { CacheFullError, PagedKVCache } from './paged-cache.js';

const spec = [{ parts: [{ name: 'key', shape: [2, 3] }] }, { parts: [{ name: 'key', shape: [2, 3] }] }];

async function rowsOf(
  cache: PagedKVCache,
  ids: number[],
  counts: number[],
): Promise<{ table: number[]; lengths: number[] }> {
  const view = cache.extend(ids, counts);
  return { table: [...(await view.pageTable(0).toInt32())], lengths: [...(await view.lengths(0).toInt32())] };
}

describe('PagedKVCache', () => {
  it('gives pages out, takes them back, and never to two sequences', async () => {
    const cache = new PagedKVCache(spec, { tokens: 40, pageSize: 4 });
    const owner = new Map<number, number>();
    const draw = drawer(5);
    const open: number[] = [];
    for (let round = 0; round < 300; round++) {
      if (open.length < 3) open.push(cache.open());
      const id = open[Math.floor(draw() * open.length)];
      const action = draw();
      if (action < 0.2) {
        cache.close(id);
        open.splice(open.indexOf(id), 1);
      } else if (action < 0.4) cache.truncate(id, Math.floor(draw() * (cache.length(id) + 1)));
      else {
        const count = 1 + Math.floor(draw() * 6);
        const fits = cache.pagesNeeded(cache.length(id), count) <= cache.freePages;
        if (!fits) {
          const before = cache.freePages;
          expect(() => cache.extend([id], [count])).toThrow(CacheFullError);
          expect(cache.freePages).toBe(before);
        } else await rowsOf(cache, [id], [count]);
      }
      owner.clear();
      const used = open.reduce((sum, sequence) => sum + Math.ceil(cache.length(sequence) / 4), 0);
      expect(used + cache.freePages).toBe(10);
    }
    cache.dispose();
  });

  it('stores entries where the page table says', async () => {
    const cache = new PagedKVCache(spec, { tokens: 32, pageSize: 4 });
    const [a, b] = [cache.open(), cache.open()];
    cache.extend([a], [3]);
    const view = cache.extend([b, a], [5, 2]);
    const entries = new Random(1).normal([7, 2, 3]);
    view.write(1, 'key', entries);
    const table = await view.pageTable(1).toInt32();
    const stored = await view.part(1, 'key').entries.toFloat32();
    const written = await entries.toFloat32();
    const P = view.pageTable(1).shape[1];
    const places = [...[0, 1, 2, 3, 4].map((p) => [0, p]), ...[3, 4].map((p) => [1, p])];
    places.forEach(([sequence, position], row) => {
      const at = (table[sequence * P + Math.floor(position / 4)] * 4 + (position % 4)) * 6;
      expect(stored.subarray(at, at + 6)).toEqual(written.subarray(row * 6, row * 6 + 6));
    });
    cache.dispose();
  });

  it('lets sequences share full pages', async () => {
    const cache = new PagedKVCache(spec, { tokens: 32, pageSize: 4 });
    const [a, b] = [cache.open(), cache.open()];
    cache.extend([a], [10]);
    const shared = cache.pagesOf(a).slice(0, 2);
    cache.share(b, shared);
    expect([cache.length(b), cache.freePages]).toEqual([8, 5]);
    const { table } = await rowsOf(cache, [b], [3]);
    expect(table.slice(0, 2)).toEqual(shared);
    expect(() => cache.share(b, shared)).toThrow('the last page of the sequence is not full');
    cache.close(a);
    expect(cache.freePages).toBe(5);
    cache.close(b);
    expect(cache.freePages).toBe(8);
    cache.dispose();
  });

  it('lets nobody write into a shared page', () => {
    const cache = new PagedKVCache(spec, { tokens: 32, pageSize: 4 });
    const [a, b] = [cache.open(), cache.open()];
    cache.extend([a], [8]);
    cache.share(b, cache.pagesOf(a));
    cache.truncate(b, 6);
    expect(() => cache.extend([b], [1])).toThrow('others read the page that would be written to');
    cache.close(a);
    cache.extend([b], [1]);
    expect(cache.length(b)).toBe(7);
    cache.dispose();
  });

  it('gives up a page for another one with the same contents', () => {
    const cache = new PagedKVCache(spec, { tokens: 32, pageSize: 4 });
    const [a, b] = [cache.open(), cache.open()];
    cache.extend([a, b], [4, 6]);
    cache.replacePage(b, 0, cache.pagesOf(a)[0]);
    expect([cache.pagesOf(b)[0], cache.freePages]).toEqual([cache.pagesOf(a)[0], 6]);
    cache.close(a);
    cache.close(b);
    expect(cache.freePages).toBe(8);
    cache.dispose();
  });

  it('frees its memory', () => {
    const before = memoryUsage().storages;
    scope(() => {
      const cache = new PagedKVCache(spec, { tokens: 16 });
      cache.extend([cache.open()], [3]);
      cache.dispose();
    });
    expect(memoryUsage().storages).toBe(before);
  });

  it('refuses sequences that are closed', () => {
    const cache = new PagedKVCache(spec, { tokens: 16 });
    const id = cache.open();
    cache.close(id);
    expect(() => cache.extend([id], [1])).toThrow(ArgumentError);
    const other = cache.open();
    for (const length of [-1, 0.5, 1]) expect(() => cache.truncate(other, length)).toThrow(ArgumentError);
    expect(() => cache.extend([other, other], [1, 1])).toThrow(ArgumentError);
    expect(() => cache.extend([other], [0])).toThrow(ArgumentError);
    cache.dispose();
  });
});

function drawer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
