import { dispatch, run } from '../dispatch.js';
import { requireFloat, requireMinRank, requireSameDType, requireSameShape, requireShape } from './checks.js';
import { defineOps } from './definition.js';

/** Normalisation over the last axis, computed in f32. */
export const normOps = defineOps<
  'rmsNorm' | 'rmsNormBackward' | 'addRmsNorm' | 'addRmsNormBackward' | 'layerNorm' | 'layerNormBackward'
>({
  // x / √(mean(x²) + ε) · weight (Zhang & Sennrich 2019)
  rmsNorm: {
    infer: (inputs) => {
      const [x, weight] = inputs;
      requireFloat('rmsNorm', inputs);
      requireSameDType('rmsNorm', inputs);
      requireMinRank('rmsNorm', 'the input', x, 1);
      requireShape('rmsNorm', 'the weight', weight, [x.shape[x.shape.length - 1]], inputs);
      return [x];
    },
    vjp: {
      saves: { inputs: [0, 1] },
      gradients: ({ gradient, input, attributes }) =>
        dispatch('rmsNormBackward', [gradient(), input(0), input(1)], attributes),
    },
    decompose: ([x, weight], { epsilon }) => {
      const wide = x.cast('f32');
      const inverse = wide.mul(wide).mean(-1, true).add(epsilon).rsqrt();
      return [wide.mul(inverse).mul(weight.cast('f32')).cast(x.dtype)];
    },
  },
  // With n = x·r and r = rsqrt(mean(x²) + ε): dx = r · (g·w - n · mean(g·w·n)), dweight = Σ g·n.
  rmsNormBackward: {
    infer: (inputs) => {
      requireSameShape('rmsNormBackward', inputs.slice(0, 2));
      return [inputs[1], inputs[2]];
    },
    decompose: ([gradient, x, weight], { epsilon }) => {
      const wide = x.cast('f32');
      const g = gradient.cast('f32');
      const inverse = wide.mul(wide).mean(-1, true).add(epsilon).rsqrt();
      const normalized = wide.mul(inverse);
      const scaled = g.mul(weight.cast('f32'));
      const dx = inverse.mul(scaled.sub(normalized.mul(scaled.mul(normalized).mean(-1, true))));
      const leading = x.shape.map((_, axis) => axis).slice(0, -1);
      return [dx.cast(x.dtype), g.mul(normalized).sum(leading).cast(weight.dtype)];
    },
  },
  // (x, y, weight) → (x + y, rmsNorm(x + y) · weight): a residual stream and what the next layer reads of it. The sum is
  // rounded to its dtype before it is normalised, so that the op equals the two that it replaces.
  addRmsNorm: {
    infer: (inputs) => {
      const [x, y, weight] = inputs;
      requireFloat('addRmsNorm', inputs);
      requireSameDType('addRmsNorm', inputs);
      requireMinRank('addRmsNorm', 'the input', x, 1);
      requireSameShape('addRmsNorm', [x, y]);
      requireShape('addRmsNorm', 'the weight', weight, [x.shape[x.shape.length - 1]], inputs);
      return [x, x];
    },
    vjp: {
      saves: { inputs: [2], outputs: [0] },
      gradients: ({ gradient, input, output, attributes }) => {
        const saved = [gradient(0), gradient(1), output(0), input(2)];
        const [dx, dweight] = dispatch('addRmsNormBackward', saved, attributes);
        return [dx, dx, dweight];
      },
    },
    decompose: ([x, y, weight], attributes) => {
      const sum = x.add(y);
      return [sum, run('rmsNorm', [sum, weight], attributes)];
    },
  },
  // (gradient of the sum, gradient of the norm, sum, weight) → (dsum, dweight)
  addRmsNormBackward: {
    infer: (inputs) => {
      requireSameShape('addRmsNormBackward', inputs.slice(0, 3));
      return [inputs[2], inputs[3]];
    },
    decompose: ([direct, gradient, sum, weight], attributes) => {
      const [dx, dweight] = dispatch(
        'rmsNormBackward',
        [gradient.cast('f32'), sum.cast('f32'), weight.cast('f32')],
        attributes,
      );
      return [dx.add(direct.cast('f32')).cast(sum.dtype), dweight.cast(weight.dtype)];
    },
  },
  // (x - mean) / √(variance + ε) · weight + bias (Ba et al. 2016)
  layerNorm: {
    infer: (inputs) => {
      const [x, weight, bias] = inputs;
      requireFloat('layerNorm', inputs);
      requireSameDType('layerNorm', inputs);
      requireMinRank('layerNorm', 'the input', x, 1);
      requireShape('layerNorm', 'the weight', weight, [x.shape[x.shape.length - 1]], inputs);
      requireShape('layerNorm', 'the bias', bias, [x.shape[x.shape.length - 1]], inputs);
      return [x];
    },
    vjp: {
      saves: { inputs: [0, 1] },
      gradients: ({ gradient, input, attributes }) =>
        dispatch('layerNormBackward', [gradient(), input(0), input(1)], attributes),
    },
    decompose: ([x, weight, bias], { epsilon }) => {
      const wide = x.cast('f32');
      const centered = wide.sub(wide.mean(-1, true));
      const inverse = centered.mul(centered).mean(-1, true).add(epsilon).rsqrt();
      return [centered.mul(inverse).mul(weight.cast('f32')).add(bias.cast('f32')).cast(x.dtype)];
    },
  },
  // (gradient, x, weight) → (dx, dweight, dbias); n = (x - mean) · r: dx = r · (g·w - mean(g·w) - n · mean(g·w·n)).
  layerNormBackward: {
    infer: (inputs) => {
      requireSameShape('layerNormBackward', inputs.slice(0, 2));
      return [inputs[1], inputs[2], inputs[2]];
    },
    decompose: ([gradient, input, weight], { epsilon }) => {
      const x = input.cast('f32');
      const g = gradient.cast('f32');
      const centered = x.sub(x.mean(-1, true));
      const inverse = centered.mul(centered).mean(-1, true).add(epsilon).rsqrt();
      const normalized = centered.mul(inverse);
      const scaled = g.mul(weight.cast('f32'));
      const projection = normalized.mul(scaled.mul(normalized).mean(-1, true));
      const leading = x.shape.map((_, axis) => axis).slice(0, -1);
      return [
        inverse.mul(scaled.sub(scaled.mean(-1, true)).sub(projection)).cast(input.dtype),
        g.mul(normalized).sum(leading).cast(weight.dtype),
        g.sum(leading).cast(weight.dtype),
      ];
    },
  },
});
