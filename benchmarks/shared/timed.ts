import { noGrad, scope, type Tensor } from '@frugal/tensor-core';

/** Milliseconds of one call, all of its results there: one number is read, which waits for all of them. */
export async function timed(compute: () => Tensor): Promise<number> {
  const start = performance.now();
  const last = scope(() => noGrad(compute));
  // Views outlive what they are of: left to the garbage collector, each call would begin with fresh memory, page by page.
  const first = scope(() => last.reshape(-1).slice(0, 0, 1));
  await first.toFloat32();
  const milliseconds = performance.now() - start;
  for (const tensor of [first, last]) tensor.dispose();
  return milliseconds;
}
