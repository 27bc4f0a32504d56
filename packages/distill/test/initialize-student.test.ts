import { noGrad, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, type Linear, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { initializeStudent } from '../src/index.js';
import { distance } from './fixture.js';
import { tinyModel, VOCABULARY } from './tiny.js';

async function logitsOf(model: CausalLM): Promise<Float32Array> {
  const batch = stepBatch([[1, 2, 3, 4, 5]], { vocabularySize: VOCABULARY });
  return noGrad(() => scope(() => model.forward(batch).logits())).toFloat32();
}

/** Multiplies everything that belongs to some units of a coupling: rows or columns of each member. */
async function mute(model: CausalLM, path: string, muted: readonly number[]): Promise<void> {
  const coupling = model.couplings().find((each) => each.path === path);
  for (const { path: at, axis, entriesPerUnit } of coupling?.members ?? []) {
    const { weight } = model.module(at) as Linear;
    const [rows, columns = 1] = weight.shape;
    const values = await weight.value.toFloat32();
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++)
        if (muted.includes(Math.floor((axis === 'rows' ? r : c) / entriesPerUnit)))
          values[r * columns + c] = 0;
    weight.value = tensor(values).reshape(...weight.shape);
  }
}

describe('a student made of its teacher', () => {
  it('is the teacher when it has the same shape', async () => {
    const [student, teacher] = [tinyModel(1), tinyModel(2)];
    await initializeStudent(student, teacher);
    expect(await logitsOf(student)).toEqual(await logitsOf(teacher));
  });

  it('takes the layers that it is told to', async () => {
    const [student, teacher] = [tinyModel(1), tinyModel(2, { num_hidden_layers: 4 })];
    await initializeStudent(student, teacher, [0, 3]);
    const weight = (model: CausalLM, path: string) => (model.module(path) as Linear).weight.value.toFloat32();
    expect(await weight(student, 'blocks.1.mlp.up')).toEqual(await weight(teacher, 'blocks.3.mlp.up'));
    expect(await weight(student, 'blocks.0.attention.key')).toEqual(
      await weight(teacher, 'blocks.0.attention.key'),
    );
  });

  it.each([
    ['neurons', { intermediate_size: 20 }, ['blocks.0.mlp', 'blocks.1.mlp'], [3, 5, 11, 20]],
    [
      'heads',
      { num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8 },
      ['blocks.0.attention', 'blocks.1.attention'],
      [0],
    ],
  ])('leaves out %s that do nothing', async (_, narrower, paths, muted) => {
    const [student, teacher] = [tinyModel(1, narrower), tinyModel(2)];
    for (const path of paths) await mute(teacher, path, muted);
    await initializeStudent(student, teacher);
    expect(distance(await logitsOf(student), await logitsOf(teacher))).toBeLessThan(1e-5);
  });

  it('leaves out channels that do nothing, also with tied embeddings', async () => {
    for (const tied of [true, false]) {
      const shape = { head_dim: 8, tie_word_embeddings: tied, rms_norm_eps: 1e-12 };
      const [student, teacher] = [tinyModel(1, { ...shape, hidden_size: 12 }), tinyModel(2, shape)];
      await mute(teacher, 'residual', [1, 7, 8, 15]);
      await initializeStudent(student, teacher);
      // The norm divides by the root of the mean over all channels: 12 instead of 16.
      const factor = Math.sqrt(16 / 12);
      for (const [path, parameter] of student.namedParameters())
        if (/norm/i.test(path)) parameter.value = noGrad(() => parameter.value.mul(factor).detach());
      expect(distance(await logitsOf(student), await logitsOf(teacher))).toBeLessThan(1e-5);
    }
  });

  it.each([
    [{}, [0], /one layer of the teacher for each of its own: got 1 layers for 2/],
    [{}, [0, 2], /the teacher has no layer 2/],
    [
      { intermediate_size: 25 },
      undefined,
      /wider than the teacher at blocks.0.mlp: got 25; expected at most 24/,
    ],
    [{ head_dim: 4 }, undefined, /is no part of the teacher's.*head size/],
    [{ vocab_size: 41 }, undefined, /embed.weight of the student is no part/],
  ])('refuses %j %j, and changes nothing', async (changes, layers, message) => {
    const student = tinyModel(1, changes);
    const before = await (student.module('blocks.0.mlp.up') as Linear).weight.value.toFloat32();
    await expect(initializeStudent(student, tinyModel(2), layers)).rejects.toThrow(message);
    expect(await (student.module('blocks.0.mlp.up') as Linear).weight.value.toFloat32()).toEqual(before);
  });
});
