import { expect, it } from 'vitest';
import { ArgumentError } from '../index.js';
import { stepBatch } from './step-batch.js';

const options = { vocabularySize: 9 };

it('takes ascending logit rows only: models take as many rows as tokens for all of them', async () => {
  const { logitRows } = stepBatch([[1, 2], [3]], { ...options, logits: [0, 2] });
  expect([...(await logitRows.toInt32())]).toEqual([0, 2]);
  for (const logits of [[2, 1, 0], [0, 0, 1], [3], [-1], [0.5]]) {
    expect(() => stepBatch([[1, 2], [3]], { ...options, logits })).toThrow(ArgumentError);
  }
});
