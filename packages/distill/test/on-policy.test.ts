import { generate } from '@frugal/tensor-core/generation';
import { describe, expect, it } from 'vitest';
import { logitDistillation, onPolicyBatches, type Question, teacherAnswers } from '../src/index.js';
import { distilled, tinyData, tinyModel } from './tiny.js';

describe('batches that the student writes', () => {
  const student = tinyModel(1);

  it('continue the data, and count what was written alone', async () => {
    const given = await tinyData().next();
    const options = { lambda: 1, promptTokens: 5, seed: 3, stopIds: [7] };
    const batch = await onPolicyBatches(tinyData(), student, options).next();
    let row = 0;
    for (const [i, sequence] of batch.sequences.entries()) {
      expect([...sequence.subarray(0, 5)]).toEqual([...given.sequences[i].subarray(0, 5)]);
      const stop = sequence.indexOf(7, 5);
      expect(sequence.length).toBe(stop < 0 ? 12 : stop + 1);
      const expected = [...sequence].map((_, at) =>
        at >= 4 && at + 1 < sequence.length ? sequence[at + 1] : -100,
      );
      expect([...batch.targets.subarray(row, row + sequence.length)]).toEqual(expected);
      row += sequence.length;
    }
    expect(batch.targets).toHaveLength(row);
  });

  it('are what the student generates', async () => {
    const batch = await onPolicyBatches(tinyData(), student, {
      lambda: 1,
      temperature: 1e-6,
      seed: 3,
    }).next();
    const [sequence] = batch.sequences;
    const greedy: number[] = [];
    for await (const id of generate(student, sequence.subarray(0, 6), { maxTokens: 6 })) greedy.push(id);
    expect([...sequence.subarray(6)]).toEqual(greedy);
  });

  it('are the share λ of all, and the same after a resume', async () => {
    const options = { lambda: 0.3, seed: 9 };
    const [plain, mixed] = [tinyData(), onPolicyBatches(tinyData(), student, options)];
    let written = 0;
    for (let i = 0; i < 60; i++) {
      const [own, other] = [await mixed.next(), await plain.next()];
      if (own.targets.indexOf(-100) < other.targets.indexOf(-100)) written++;
      else expect(own).toEqual(other);
    }
    expect(written).toBeGreaterThan(8);
    expect(written).toBeLessThan(30);
    const resumed = onPolicyBatches(tinyData(), student, options);
    resumed.restore(JSON.parse(JSON.stringify(mixed.state())));
    for (let i = 0; i < 5; i++) expect(await resumed.next()).toEqual(await mixed.next());
  });

  it('teach: the distance to the teacher falls', async () => {
    const modifier = { type: 'distill.logits', loss: 'reverse-kl', onPolicy: { lambda: 0.5 } };
    const run = await distilled(tinyModel(1), [modifier], {
      methods: [logitDistillation],
      teacher: tinyModel(2),
      data: tinyData(),
    });
    expect(run.last).toBeLessThan(0.7 * run.first);
  });

  it('refuse beginnings that leave no room', async () => {
    const source = onPolicyBatches(tinyData(), student, { lambda: 1, promptTokens: 12, seed: 1 });
    await expect(source.next()).rejects.toThrow(/no room for it: got 12 tokens of 12/);
  });
});

describe('answers of a teacher', () => {
  const teacher = tinyModel(2);
  const stopIds = [3, 5, 8, 13, 21, 34];
  const prompts = Array.from({ length: 5 }, (_, i) => [i + 1, 2]);

  async function all(questions: readonly Question[], options: object = {}) {
    const found = [];
    const base = { maxTokens: 16, stopIds, temperature: 1, attempts: 6, seed: 2 };
    for await (const each of teacherAnswers(teacher, questions, { ...base, ...options })) found.push(each);
    return found;
  }

  it('end by themselves and are verified, or are not there', async () => {
    const isEven = (ids: readonly number[]) => ids.length % 2 === 0;
    const found = await all(prompts.map((prompt) => ({ prompt, verify: isEven })));
    expect(found.length).toBeGreaterThan(0);
    for (const { answer } of found) {
      expect(stopIds).toContain(answer[answer.length - 1]);
      expect(answer.length % 2).toBe(0);
    }
    expect(new Set(found.map(({ question }) => question)).size).toBe(found.length);
    expect(await all(prompts.map((prompt) => ({ prompt, verify: () => false })))).toEqual([]);
  });

  it('do not depend on what else is asked', async () => {
    const questions = prompts.map((prompt) => ({ prompt }));
    const order = (found: Awaited<ReturnType<typeof all>>) => found.sort((a, b) => a.question - b.question);
    expect(order(await all(questions, { batch: 2 }))).toEqual(order(await all(questions, { batch: 5 })));
  });

  it('are tried again until one is right', async () => {
    let asked = 0;
    const verify = () => ++asked >= 3;
    const [only] = await all([{ prompt: prompts[0], verify }], {
      stopIds: Array.from({ length: 40 }, (_, i) => i),
    });
    expect([only.attempts, asked, only.answer.length]).toEqual([3, 3, 1]);
  });
});
