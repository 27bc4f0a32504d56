import { describe, expect, it } from 'vitest';
import { tensor } from './creation.js';
import { ArgumentError } from './errors.js';
import { GradientError, gradcheck } from './gradcheck.js';
import { expectNoLeaks } from './memory.js';
import { customGradient, noGrad } from './tape.js';
import type { Tensor } from './tensor.js';

const leaf = (...values: number[]) => tensor(values).setRequiresGrad(true);

/** x² with a gradient rule of our choice. */
function squareWith(rule: (gradient: Tensor, x: Tensor) => Tensor | null) {
  return (x: Tensor) => {
    const y = noGrad(() => x.mul(x));
    customGradient('square', [x], [x], [y], ({ gradient }, [saved]) => [rule(gradient(0), saved)]);
    return y;
  };
}

describe('gradcheck', () => {
  it('accepts right gradients and leaves nothing behind', async () => {
    const inputs = [leaf(0.3, -1.2, 2), leaf(0.5, 0.7, -0.4), tensor([1, 2, 3])];
    await expectNoLeaks(() => gradcheck((x, y, z) => [x.mul(y).tanh(), x.exp().mul(z)], inputs));
    await gradcheck(
      squareWith((gradient, x) => gradient.mul(x).mul(2)),
      [leaf(1, -2)],
    );
  });

  it('finds a wrong factor and names the element', async () => {
    const wrong = gradcheck(
      squareWith((gradient, x) => gradient.mul(x).mul(2.02)),
      [leaf(1, -2)],
      { name: 'square' },
    );
    await expect(wrong).rejects.toThrow(GradientError);
    await expect(wrong).rejects.toThrow(/\[square\] the gradient of element \d of input 0 \[2\] is wrong/);
  });

  it('finds a gradient that is missing', async () => {
    await expect(
      gradcheck(
        squareWith(() => null),
        [leaf(1, -2)],
      ),
    ).rejects.toThrow('got 0');
  });

  it('finds a gradient in one element of many', async () => {
    const mask = tensor([0, 0, 1, 0]);
    const rule = (gradient: Tensor, x: Tensor) => gradient.mul(x).mul(2).add(mask.mul(0.1));
    await expect(gradcheck(squareWith(rule), [leaf(1, 2, 3, 4)])).rejects.toThrow('element 2 of input 0');
  });

  it('ignores outputs without gradients', async () => {
    await gradcheck((x) => [x.mul(x), x.floor(), x.detach()], [leaf(0.5, 1.5)]);
  });

  it('wants something to check', async () => {
    await expect(gradcheck((x) => x, [tensor([1])])).rejects.toThrow(ArgumentError);
  });
});
