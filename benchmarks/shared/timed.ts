import { noGrad, scope, type Tensor } from '@frugal/tensor-core';

/** Milliseconds of one call, all of its results there: one number is read, which waits for all of them. */
export async function timed(compute: () => Tensor): Promise<number> {
  const start = performance.now();
  const last = scope(() => noGrad(compute));
  await last.reshape(-1).slice(0, 0, 1).toFloat32();
  const milliseconds = performance.now() - start;
  last.dispose();
  return milliseconds;
}
