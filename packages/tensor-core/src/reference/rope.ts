import { defineKernels } from './kernels.js';
import { readFloats, writeFloats } from './values.js';

export const ropeKernels = defineKernels<'rope'>({
  // Pair r of a head is (r, r + R), or (2r, 2r + 1) when interleaved; what lies behind the 2R rotated stays.
  rope: ([input, cosine, sine], [output], { interleaved, inverse }) => {
    const [x, cos, sin] = [readFloats(input), readFloats(cosine), readFloats(sine)];
    const [N, H, D] = input.shape;
    const R = cosine.shape[1];
    const sign = inverse ? -1 : 1;
    const step = interleaved ? 2 : 1;
    const partner = interleaved ? 1 : R;
    writeFloats(output, (out) => {
      out.set(x);
      for (let n = 0; n < N; n++) {
        for (let h = 0; h < H; h++) {
          const head = (n * H + h) * D;
          for (let r = 0; r < R; r++) {
            const first = head + r * step;
            const second = first + partner;
            const c = cos[n * R + r];
            const s = sign * sin[n * R + r];
            out[first] = x[first] * c - x[second] * s;
            out[second] = x[second] * c + x[first] * s;
          }
        }
      }
    });
  },
});
