import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scope, tensor } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  cachedBatches,
  divergenceLoss,
  localTeacher,
  storedDivergenceLoss,
  storedLogitDistillation,
  TeacherCache,
  TeacherCacheError,
  type TeacherSource,
} from '../src/index.js';
import { distilled, tinyData, tinyModel, VOCABULARY } from './tiny.js';

const settings = { teacher: 'tiny 2', tokenizer: 'none', topK: 6, temperature: 1.5 };

async function folder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'frugal-teacher-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return join(directory, 'cache');
}

async function sequencesOf(batches: number): Promise<Int32Array[]> {
  const data = tinyData();
  const found: Int32Array[] = [];
  for (let i = 0; i < batches; i++) found.push(...(await data.next()).sequences);
  return found;
}

const teacher = tinyModel(2);
const source = localTeacher(teacher, settings);

/** Counts what the teacher is asked. */
function counting(): { source: TeacherSource; asked: () => number } {
  let count = 0;
  const counted: TeacherSource = (sequences) => {
    count += sequences.length;
    return source(sequences);
  };
  return { source: counted, asked: () => count };
}

const blocks = async (directory: string) =>
  (await readdir(directory)).filter((name) => name.startsWith('block')).sort();

describe('a teacher cache', () => {
  it('gives the loss that the teacher itself would, within the rounding of f16', async () => {
    const cache = await TeacherCache.open(await folder(), settings);
    const sequences = (await sequencesOf(1)).slice(0, 3);
    await cache.fill(sequences, source);
    const { indices, logs, topK } = await cache.read(sequences);
    const student = tinyModel(1);
    const [stored, live] = scope(() => {
      const batch = stepBatch(sequences, { vocabularySize: VOCABULARY });
      const { hidden } = student.forward(batch);
      const top = { indices: tensor(indices).reshape(-1, topK), logs: tensor(logs).reshape(-1, topK + 1) };
      const { temperature } = settings;
      const target = { hidden: teacher.forward(batch).hidden, head: teacher.head };
      return [
        storedDivergenceLoss(hidden, student.head, top, { temperature }),
        divergenceLoss(hidden, student.head, target, { temperature, topK }),
      ];
    });
    const expected = await live.item();
    expect(Math.abs((await stored.item()) - expected)).toBeLessThan(1e-3 * expected);
  });

  it('goes on where it was interrupted, with several requests at a time', async () => {
    const directory = await folder();
    const sequences = await sequencesOf(8);
    const controller = new AbortController();
    const first = await TeacherCache.open(directory, settings);
    const interrupted = first.fill(sequences, source, {
      sequencesPerBlock: 4,
      signal: controller.signal,
      onProgress: ({ done }) => done >= 12 && controller.abort(new Error('enough')),
    });
    await expect(interrupted).rejects.toThrow('enough');
    const again = await TeacherCache.open(directory, settings);
    expect(again.size).toBe(12);
    const { source: counted, asked } = counting();
    const filled = await again.fill(sequences, counted, { sequencesPerBlock: 4, concurrency: 3 });
    expect([filled.sequences, asked(), again.size]).toEqual([20, 20, 32]);
    expect(filled.tokens).toBe(20 * 12);
    expect((await again.fill(sequences, counted)).sequences).toBe(0);
  });

  it('is filled by several processes that share the work', async () => {
    const directory = await folder();
    const sequences = await sequencesOf(4);
    const parts = [0, 1, 2].map(async (index) => {
      const cache = await TeacherCache.open(directory, settings);
      return cache.fill(sequences, source, { part: { index, count: 3 }, sequencesPerBlock: 2 });
    });
    const filled = await Promise.all(parts);
    expect(filled.map((each) => each.sequences)).toEqual([6, 5, 5]);
    const whole = await TeacherCache.open(directory, settings);
    expect(sequences.every((sequence) => whole.has(sequence))).toBe(true);
  });

  it.each([
    [
      'a flipped bit',
      async (path: string) => {
        const bytes = await readFile(path);
        bytes[bytes.length - 3] ^= 4;
        await writeFile(path, bytes);
      },
    ],
    [
      'a flipped bit in the header',
      async (path: string) => {
        const bytes = await readFile(path);
        bytes[70] ^= 1;
        await writeFile(path, bytes);
      },
    ],
    ['a cut', (path: string) => truncate(path, 500)],
    ['nothing', (path: string) => truncate(path, 0)],
  ])('refuses a block with %s, and makes it again', async (_, damage) => {
    const directory = await folder();
    const sequences = await sequencesOf(2);
    const cache = await TeacherCache.open(directory, settings);
    await cache.fill(sequences, source, { sequencesPerBlock: 4 });
    const whole = await cache.read(sequences);
    const [name] = await blocks(directory);
    await damage(join(directory, name));
    await expect((await TeacherCache.open(directory, settings)).read(sequences)).rejects.toThrow(
      TeacherCacheError,
    );
    const repaired = await TeacherCache.open(directory, settings);
    expect(await repaired.fill(sequences, source)).toMatchObject({ sequences: 4, damaged: 1 });
    expect(await repaired.read(sequences)).toEqual(whole);
  });

  it('refuses other settings, and sources that leave something out', async () => {
    const directory = await folder();
    const cache = await TeacherCache.open(directory, settings);
    await expect(TeacherCache.open(directory, { ...settings, temperature: 1 })).rejects.toThrow(
      /another temperature: got 1.5; expected 1/,
    );
    const sequences = await sequencesOf(1);
    const short = localTeacher(teacher, { topK: 5 });
    await expect(cache.fill(sequences, short)).rejects.toThrow(/did not give a distribution.*got top 5/);
    await expect(cache.read(sequences)).rejects.toThrow(/does not hold this sequence/);
  });

  it('stays below 150 bytes a token at its usual size, ids of a large vocabulary included', async () => {
    const topK = 24;
    const cache = await TeacherCache.open(await folder(), { ...settings, topK });
    const length = 256;
    const random = (seed: number) => {
      let state = seed;
      return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
      };
    };
    // Nothing that could be compressed: random ids of 151,936, and random logarithms.
    const next = random(3);
    const noise: TeacherSource = async (sequences) =>
      sequences.map(() => ({
        topK,
        indices: Int32Array.from({ length: length * topK }, () => Math.floor(next() * 151_936)),
        logs: Float32Array.from({ length: length * (topK + 1) }, () => -12 * next()),
      }));
    const sequences = Array.from({ length: 8 }, (_, i) => Int32Array.from({ length }, (__, j) => i + j));
    await cache.fill(sequences, noise);
    expect(await cache.bytesPerToken()).toBeLessThan(125);
  });
});

describe('distill.stored', () => {
  it('trains nearly as the teacher itself would', async () => {
    const cache = await TeacherCache.open(await folder(), { ...settings, temperature: 1 });
    await cache.fill(await sequencesOf(8), localTeacher(teacher, { topK: 6 }));
    const { logitDistillation } = await import('../src/index.js');
    const options = { alpha: 0.7, loss: 'jensen-shannon' };
    const stored = await distilled(tinyModel(1), [{ type: 'distill.stored', ...options }], {
      methods: [storedLogitDistillation(cache)],
      data: tinyData(),
    });
    const live = await distilled(tinyModel(1), [{ type: 'distill.logits', topK: 6, ...options }], {
      methods: [logitDistillation],
      teacher,
      data: tinyData(),
    });
    expect(Math.abs(stored.first - live.first)).toBeLessThan(1e-4);
    expect(Math.abs(stored.last - live.last)).toBeLessThan(0.02 * live.last);
  });

  it('batches keep their place in the stream', async () => {
    const cache = await TeacherCache.open(await folder(), settings);
    await cache.fill(await sequencesOf(3), source);
    const one = cachedBatches(tinyData(), cache);
    await one.next();
    const two = cachedBatches(tinyData(), cache);
    two.restore(one.state());
    expect(await two.next()).toEqual(await one.next());
  });
});
