import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { folderCollective } from '../src/index.js';
import { temporaryFolder } from './support.js';

const quick = { pollMilliseconds: 1 };

const ranksIn = (folder: string, size: number) =>
  Promise.all(Array.from({ length: size }, (_, rank) => folderCollective({ folder, rank, size, ...quick })));

describe('an exchange through a folder', () => {
  it('does what a collective does', async () => {
    const ranks = await ranksIn(temporaryFolder(), 3);
    const results = await Promise.all(
      ranks.map(async (collective) => {
        const { rank } = collective;
        const own = tensor([rank + 1, 10 * rank]);
        const [sum] = await collective.allReduce([own]);
        const [all] = await collective.allGather([own]);
        const [second] = await collective.broadcast([own], 1);
        const parts = await collective.allToAll([0, 1, 2].map((to) => tensor(new Array(to).fill(rank))));
        await collective.barrier();
        const values = [sum, all, second, ...parts].map(async (each) => [...(await each.toFloat32())]);
        return { values: await Promise.all(values), shape: all.shape, received: collective.received };
      }),
    );
    for (const [rank, { values, shape, received }] of results.entries()) {
      expect(values[0]).toEqual([6, 30]);
      expect(values[1]).toEqual([1, 0, 2, 10, 3, 20]);
      expect(shape).toEqual([3, 2]);
      expect(values[2]).toEqual([2, 10]);
      expect(values.slice(3)).toEqual([0, 1, 2].map((from) => new Array(rank).fill(from)));
      expect(received).toBe(16 + 16 + (rank === 1 ? 0 : 8) + 8 * rank);
    }
  });

  it('starts anew whatever earlier runs have left, and leaves nothing of its messages', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'hello-1-gone'), '');
    writeFileSync(join(folder, 'session.json'), JSON.stringify({ id: 'session-old', members: ['', 'gone'] }));
    for (let run = 0; run < 2; run++) {
      const ranks = await ranksIn(folder, 2);
      await Promise.all(ranks.map((collective) => collective.barrier()));
      const sessions = readdirSync(folder).filter((name) => name.startsWith('session-'));
      expect(sessions).toHaveLength(1);
      expect(readdirSync(join(folder, sessions[0])).sort()).toEqual(['begin', 'here-1']);
    }
  });

  it('says which rank did not come', async () => {
    const folder = temporaryFolder();
    const alone = folderCollective({ folder, rank: 0, size: 2, patienceSeconds: 0.05, ...quick });
    await expect(alone).rejects.toThrow(/another rank did not come.*--resume/s);
    const [rank] = await ranksIn(folder, 1);
    expect(rank.size).toBe(1);
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    const stopped = folderCollective({ folder, rank: 1, size: 2, signal: controller.signal, ...quick });
    await expect(stopped).rejects.toThrow('enough');
    await expect(folderCollective({ folder, rank: 2, size: 2 })).rejects.toThrow(/rank 2 of 2/);
  });
});
