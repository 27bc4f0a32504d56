import { dispatch, Random } from '@frugal/tensor-core';
import { expect, it, vi } from 'vitest';
import { expectNoViolations, needsStub, openBackend, stubControl } from './ascend.js';

needsStub();
expectNoViolations();

it('composes what FRUGAL_ASCEND_COMPOSE names, and no more', async () => {
  vi.stubEnv('FRUGAL_ASCEND_COMPOSE', 'rope, rmsNorm');
  const backend = openBackend();
  const [x, weight, table] = [[3, 2, 4], [4], [3, 2]].map((shape, seed) =>
    new Random(seed).normal(shape, { backend }),
  );
  const results = [
    ...dispatch('rmsNorm', [x, weight], { epsilon: 1e-5 }),
    ...dispatch('rope', [x, table, table], { interleaved: false, inverse: false }),
    ...dispatch('swiglu', [x, x], { activation: 'silu' }),
  ];
  for (const result of results) await result.toFloat32();
  const { calls } = stubControl();
  const names = ['aclnnRmsNorm', 'aclnnRotaryPositionEmbedding', 'aclnnSilu'];
  expect(names.map(calls)).toEqual([0, 0, 1]);
  for (const one of [x, weight, table, ...results]) one.dispose();
});
