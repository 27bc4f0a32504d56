import { noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { hiddenDistillation, layerPairs, logitDistillation } from '../src/index.js';
import { distilled, tinyData, tinyModel, VOCABULARY } from './tiny.js';

const methods = [hiddenDistillation, logitDistillation];

/** Hidden states behind a block. */
async function hiddenOf(model: CausalLM, layer: number): Promise<Float32Array> {
  const name = `blocks.${layer}.hidden`;
  const batch = stepBatch([[1, 2, 3, 4]], { vocabularySize: VOCABULARY, collect: new Set([name]) });
  const hidden = noGrad(() => scope(() => model.forward(batch).collected.get(name)));
  return hidden ? hidden.toFloat32() : new Float32Array();
}

function squares(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0);
}

describe('distill.hidden', () => {
  it('brings hidden states of equal width together', async () => {
    const [student, teacher] = [tinyModel(1), tinyModel(2, { num_hidden_layers: 4 })];
    const target = await hiddenOf(teacher, 3);
    const before = squares(await hiddenOf(student, 1), target);
    const modifier = { type: 'distill.hidden', layers: [1] };
    const { paths } = await distilled(student, [modifier], { methods, teacher, data: tinyData() });
    expect(paths.some((path) => path.includes('projection'))).toBe(false);
    expect(squares(await hiddenOf(student, 1), target)).toBeLessThan(0.7 * before);
  });

  it('trains projections to another width, beside logits, and drops them', async () => {
    const [student, teacher] = [tinyModel(1), tinyModel(2, { hidden_size: 24, num_attention_heads: 3 })];
    const before = student.parameters().length;
    const modifiers = [
      { type: 'distill.hidden', distance: 'cosine', weight: 2 },
      { type: 'distill.logits', loss: 'jensen-shannon', beta: 0.3 },
    ];
    const run = await distilled(student, modifiers, { methods, teacher, data: tinyData() });
    expect(run.paths).toEqual(
      expect.arrayContaining(['auxiliary.projection0.weight', 'auxiliary.projection1.weight']),
    );
    expect(run.last).toBeLessThan(0.9 * run.first);
    expect(student.parameters()).toHaveLength(before);
    expect('auxiliary' in student).toBe(false);
  });

  it('pairs layers evenly, the last with the last', () => {
    expect(layerPairs(3, 6).map(({ teacher }) => teacher)).toEqual([1, 3, 5]);
    expect(layerPairs(2, 7).map(({ teacher }) => teacher)).toEqual([3, 6]);
    expect(layerPairs(4, 2).map(({ teacher }) => teacher)).toEqual([0, 0, 1, 1]);
    expect(layerPairs(4, 8, [3], [0])).toEqual([{ student: 3, teacher: 0 }]);
  });

  it.each([
    [{ layers: [2] }, /the student has no layer 2: expected 0 to 1/],
    [{ layers: [0], teacherLayers: [4] }, /the teacher has no layer 4/],
    [{ teacherLayers: [0] }, /do not pair up: got no and 1 layers/],
    [{ distanse: 'mse' }, /distanse/],
  ])('refuses %j', async (options, message) => {
    const run = distilled(tinyModel(1), [{ type: 'distill.hidden', ...options }], {
      methods,
      teacher: tinyModel(2),
      data: tinyData(),
    });
    await expect(run).rejects.toThrow(message);
  });
});

describe('distill.logits', () => {
  it.each([
    [{ loss: 'reverse-kl', beta: 0.5 }, /reverse-kl takes no beta/],
    [{ loss: 'skew-kl', skew: 1 }, /skew/],
    [{ loss: 'hellinger' }, /loss/],
  ])('refuses %j', async (options, message) => {
    const run = distilled(tinyModel(1), [{ type: 'distill.logits', ...options }], {
      methods,
      teacher: tinyModel(2),
      data: tinyData(),
    });
    await expect(run).rejects.toThrow(message);
  });

  it('learns from a teacher with a padded head once it is told so', async () => {
    const [student, teacher] = [tinyModel(1), tinyModel(2, { vocab_size: 48 })];
    const run = (options: object) =>
      distilled(
        student,
        [{ type: 'distill.logits', ...options }],
        { methods, teacher, data: tinyData() },
        10,
      );
    await expect(run({})).rejects.toThrow(
      /different vocabularies: got 40 and 48.*padded, set vocabulary.*distill\.uld/,
    );
    await expect(run({ vocabulary: 41 })).rejects.toThrow(/at least the 41/);
    const { first, last } = await run({ vocabulary: 40, topK: 8, loss: 'skew-reverse-kl' });
    expect(last).toBeLessThan(first);
  });
});
