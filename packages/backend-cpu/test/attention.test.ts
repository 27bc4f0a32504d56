import { createHash } from 'node:crypto';
import { cpuBackend } from '@frugal/backend-cpu';
import {
  attention,
  type Backend,
  concat,
  noGrad,
  Random,
  scope,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { PagedKVCache } from '@frugal/tensor-core/generation';
import { attendToCache, type CacheDType } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

interface Shape {
  readonly H: number;
  readonly K: number;
  readonly D: number;
  /** Size of values; `latent`: the first so many numbers of each key are its value. */
  readonly Dv: number;
  readonly latent?: boolean;
  readonly window?: number;
  readonly softCap?: number;
}

interface Text {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

const LENGTH = 600;

function makeText({ H, K, D, Dv }: Shape, length: number, seed: number, backend: Backend): Text {
  const random = new Random(seed);
  const draw = (heads: number, size: number) => random.normal([length, heads, size], { backend });
  return { q: draw(H, D), k: draw(K, D), v: draw(K, Dv) };
}

/** A cache whose pages lie in the order that `used` other sequences left behind. */
function makeCache({ K, D, Dv, latent }: Shape, dtype: CacheDType, pageSize: number, backend: Backend) {
  const parts = [{ name: 'key', shape: [K, D] }, ...(latent ? [] : [{ name: 'value', shape: [K, Dv] }])];
  return new PagedKVCache([{ parts }], { tokens: 2200, pageSize, dtype, backend });
}

/** One step: rows from[i] … to[i] of each text go into the cache and attend. Returns one result per text. */
function step(
  cache: PagedKVCache,
  shape: Shape,
  members: readonly { id: number; text: Text; from: number; to: number }[],
): Tensor[] {
  const view = cache.extend(
    members.map(({ id }) => id),
    members.map(({ from, to }) => to - from),
  );
  const rows = (name: keyof Text) =>
    concat(members.map(({ text, from, to }) => text[name].slice(0, from, to)));
  view.write(0, 'key', rows('k'));
  if (!shape.latent) view.write(0, 'value', rows('v'));
  let row = 0;
  const starts = [0, ...members.map(({ from, to }) => (row += to - from))];
  const out = attendToCache(
    rows('q'),
    view,
    { layer: 0, key: 'key', value: shape.latent ? shape.Dv : 'value' },
    tensor(Int32Array.from(starts), { backend: view.inputs[0].backend }),
    { scale: shape.D ** -0.5, window: shape.window, softCap: shape.softCap },
  );
  return members.map((_, i) => out.slice(0, starts[i], starts[i + 1]));
}

/** All rows of a text, computed alone in steps that end at `cuts`. */
function inSteps(
  shape: Shape,
  dtype: CacheDType,
  cuts: readonly number[],
  pageSize: number,
  backend: Backend,
): Tensor {
  const cache = makeCache(shape, dtype, pageSize, backend);
  const text = makeText(shape, LENGTH, 1, backend);
  const id = cache.open();
  const parts = cuts.map((to, i) => step(cache, shape, [{ id, text, from: cuts[i - 1] ?? 0, to }])[0]);
  cache.dispose();
  return concat(parts);
}

/** The same among others: a prompt in chunks and a decoded token beside it, with pages that others have used before. */
function amongOthers(shape: Shape, dtype: CacheDType, cuts: readonly number[], backend: Backend): Tensor {
  const cache = makeCache(shape, dtype, 16, backend);
  const text = makeText(shape, LENGTH, 1, backend);
  const other = makeText(shape, 900, 2, backend);
  const [first, second] = [cache.open(), cache.open()];
  step(cache, shape, [{ id: first, text: other, from: 0, to: 333 }]);
  cache.truncate(first, 0);
  step(cache, shape, [{ id: second, text: other, from: 0, to: 300 }]);
  step(cache, shape, [{ id: first, text: other, from: 0, to: 20 }]);
  const id = cache.open();
  const parts = cuts.map((to, i) => {
    const members = [
      { id: second, text: other, from: 300 + 2 * i, to: 302 + 2 * i },
      { id, text, from: cuts[i - 1] ?? 0, to },
      { id: first, text: other, from: 20 + 60 * i, to: 80 + 60 * i },
    ];
    return step(cache, shape, members)[1];
  });
  cache.dispose();
  return concat(parts);
}

async function bits(make: () => Tensor): Promise<string> {
  const result = scope(() => noGrad(make));
  const hash = createHash('sha256')
    .update(await result.bytes())
    .digest('hex');
  result.dispose();
  return hash;
}

const shapes: Readonly<Record<string, Shape>> = {
  'grouped heads': { H: 6, K: 2, D: 40, Dv: 40 },
  'one latent for all heads': { H: 5, K: 1, D: 72, Dv: 64, latent: true },
  'window and soft cap': { H: 2, K: 2, D: 16, Dv: 24, window: 270, softCap: 5 },
};
const dtypes: readonly CacheDType[] = ['f32', 'bf16', 'f16', 'q8'];
const cases = Object.keys(shapes).flatMap((name) => dtypes.map((dtype) => ({ name, dtype })));

for (const isa of testedIsas) {
  describe(isa, () => {
    it.each(cases)(
      'a row has the same bits in any chunk, batch and place: $name, $dtype',
      async ({ name, dtype }) => {
        const shape = shapes[name];
        const backend = (threads = 1) => cpuBackend({ isa, threads, minimumWork: 0 });
        const whole = await bits(() => inSteps(shape, dtype, [LENGTH], 16, backend()));
        const tokens = Array.from({ length: 12 }, (_, i) => LENGTH - 11 + i);
        // A prompt in one piece, then single tokens and drafts.
        expect(await bits(() => inSteps(shape, dtype, tokens, 16, backend()))).toBe(whole);
        expect(
          await bits(() => inSteps(shape, dtype, [1, 3, 250, 251, 516, 519, LENGTH], 5, backend(2))),
        ).toBe(whole);
        expect(await bits(() => inSteps(shape, dtype, [257, 259, 512, 599, LENGTH], 64, backend(3)))).toBe(
          whole,
        );
        expect(await bits(() => amongOthers(shape, dtype, [255, 256, 258, 513, LENGTH], backend(2)))).toBe(
          whole,
        );
      },
    );

    it('reads heads cut out of one row, and transposed ones', async () => {
      const backend = cpuBackend({ isa, minimumWork: 0 });
      const starts = () => tensor(Int32Array.of(0, 70), { backend });
      const fused = () => new Random(3).normal([70, 4 * 24 + 2 * 24 + 2 * 24], { backend });
      const split = (x: Tensor) =>
        [x.slice(1, 0, 96), x.slice(1, 96, 144), x.slice(1, 144, 192)].map((part) =>
          part.reshape(70, -1, 24),
        );
      const attend = ([q, k, v]: Tensor[]) => attention(q, k, v, starts(), { scale: 0.2, causal: true });
      const plain = await bits(() => attend(split(fused()).map((x) => x.copy())));
      expect(await bits(() => attend(split(fused())))).toBe(plain);
      expect(await bits(() => attend(split(fused()).map((x) => x.transpose().copy().transpose())))).toBe(
        plain,
      );
    });
  });
}
