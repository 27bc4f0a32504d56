import { dispatch } from '../dispatch.js';
import { requireFloat, requireMinRank, requireSameDType, requireSameShape, requireShape } from './checks.js';
import { defineOps } from './definition.js';

/** Normalisation over the last axis, computed in f32. */
export const normOps = defineOps<'rmsNorm' | 'rmsNormBackward' | 'layerNorm'>({
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
      gradients: ({ gradient, input, attributes: { epsilon } }) => {
        const x = input(0).cast('f32');
        const g = gradient().cast('f32');
        const centered = x.sub(x.mean(-1, true));
        const inverse = centered.mul(centered).mean(-1, true).add(epsilon).rsqrt();
        const normalized = centered.mul(inverse);
        const scaled = g.mul(input(1).cast('f32'));
        const projection = normalized.mul(scaled.mul(normalized).mean(-1, true));
        const leading = x.shape.map((_, axis) => axis).slice(0, -1);
        const { dtype } = input(0);
        return [
          inverse.mul(scaled.sub(scaled.mean(-1, true)).sub(projection)).cast(dtype),
          g.mul(normalized).sum(leading).cast(dtype),
          g.sum(leading).cast(dtype),
        ];
      },
    },
    decompose: ([x, weight, bias], { epsilon }) => {
      const wide = x.cast('f32');
      const centered = wide.sub(wide.mean(-1, true));
      const inverse = centered.mul(centered).mean(-1, true).add(epsilon).rsqrt();
      return [centered.mul(inverse).mul(weight.cast('f32')).add(bias.cast('f32')).cast(x.dtype)];
    },
  },
});
