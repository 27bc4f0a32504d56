import { run } from '../dispatch.js';
import { ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { describe, requireDType, requireFloat, requireRank, requireShape } from './checks.js';
import { defineOps } from './definition.js';
import { concat } from './functions.js';

export const ropeOps = defineOps<'rope'>({
  // Rotary positions (Su et al. 2021, arXiv:2104.09864): x [N, H, D], cos and sin [N, R], R ≤ D/2 rotated pairs.
  rope: {
    infer: (inputs) => {
      const [x, cos, sin] = inputs;
      requireFloat('rope', [x]);
      requireRank('rope', 'the input', x, 3);
      requireDType('rope', 'cos', cos, 'f32');
      requireDType('rope', 'sin', sin, 'f32');
      requireShape('rope', 'cos', cos, [x.shape[0], -1], inputs);
      requireShape('rope', 'sin', sin, cos.shape, inputs);
      if (2 * cos.shape[1] > x.shape[2]) {
        throw new ShapeError({
          where: 'rope',
          what: 'more rotated pairs than the head has',
          got: describe(inputs),
          expected: 'R ≤ D / 2',
        });
      }
      return [x];
    },
    vjp: {
      saves: { inputs: [1, 2] },
      gradients: ({ gradient, input, attributes }) => [
        run('rope', [gradient(), input(1), input(2)], { ...attributes, inverse: !attributes.inverse }),
        null,
        null,
      ],
    },
    decompose: ([x, cosine, sine], { interleaved, inverse }) => {
      const [N, H, D] = x.shape;
      const R = cosine.shape[1];
      const cos = cosine.reshape(N, 1, R);
      const sin = inverse ? sine.neg().reshape(N, 1, R) : sine.reshape(N, 1, R);
      const rotated = x.slice(2, 0, 2 * R).cast('f32');
      const pairs = interleaved ? rotated.reshape(N, H, R, 2) : rotated.reshape(N, H, 2, R).transpose(); // [N, H, R, 2]
      const [a, b] = [0, 1].map((i) => pairs.slice(3, i, i + 1).reshape(N, H, R));
      const parts: Tensor[] = [a.mul(cos).sub(b.mul(sin)), b.mul(cos).add(a.mul(sin))];
      const stacked = concat(
        parts.map((part) => part.reshape(N, H, R, 1)),
        3,
      );
      const flat = (interleaved ? stacked : stacked.transpose()).reshape(N, H, 2 * R).cast(x.dtype);
      return [2 * R === D ? flat : concat([flat, x.slice(2, 2 * R, D)], 2)];
    },
  },
});
