import { expect, it } from 'vitest';
import { noGrad, Random } from '../index.js';
import { onForward } from './hooks.js';
import { forwardInto, Linear } from './linear.js';

const random = new Random(3);
const layer = Linear.init(6, 5, { random, bias: true });
layer.bias!.value = random.normal([5]);
const x = random.normal([4, 6]);
const residual = random.normal([4, 5]);
const expected = layer.forward(x).silu().add(residual).detach();

it('gives the same in one pass, with gradients recorded, and watched', async () => {
  const values = await expected.toFloat32();
  const close = async (what: () => ReturnType<typeof forwardInto>) => {
    const actual = await what().toFloat32();
    for (const [i, value] of values.entries()) expect(actual[i]).toBeCloseTo(value, 5);
  };
  const compute = () => forwardInto(layer, x, { activation: 'silu', residual });
  await close(() => noGrad(compute));
  await close(compute);
  let calls = 0;
  using _ = onForward(layer, () => calls++);
  await close(() => noGrad(compute));
  expect(calls).toBe(1);
});
