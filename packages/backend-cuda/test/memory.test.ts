import { noGrad, Random, scope } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { needsTensorFlow, openBackend } from './tensorflow.js';

needsTensorFlow();

it('gives back rows written in place', async () => {
  const backend = openBackend();
  const write = () =>
    scope(() =>
      noGrad(() => {
        const cache = new Random(1).normal([64, 4], { backend });
        const rows = new Random(2).normal([2, 4], { backend });
        for (let i = 0; i < 8; i++)
          cache.writeRows(new Random(i).uniform([2], { backend }).mul(63).cast('i32'), rows);
        return cache.sum();
      }),
    );
  write().dispose();
  const before = backend.handles;
  for (let i = 0; i < 20; i++) write().dispose();
  expect(backend.handles).toBe(before);
});
