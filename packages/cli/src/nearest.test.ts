import { describe, expect, it } from 'vitest';
import { nearest } from './nearest.js';

const names = ['learningRate', 'finalLearningRate', 'steps', 'tokens', 'seed', 'batch'];

describe('nearest', () => {
  it.each([
    ['learningRat', 'learningRate'],
    ['learning_rate', 'learningRate'],
    ['LEARNINGRATE', 'learningRate'],
    ['setps', 'steps'],
    ['step', 'steps'],
    ['finallearningrates', 'finalLearningRate'],
    ['seeds', 'seed'],
  ])('%s → %s', (written, expected) => expect(nearest(written, names)).toBe(expected));

  it.each(['temperature', 'x', ''])('has no idea about "%s"', (written) =>
    expect(nearest(written, names)).toBeUndefined(),
  );
});
