import { compress, parseRecipe, reportPage } from '@frugal/compress';
import { createModel, skeleton } from '@frugal/models';
import { pruneMethods } from '@frugal/prune';
import { quantMethods } from '@frugal/quant';
import { expect, it } from 'vitest';
import { fourBlockLlama as config } from './support/tiny-llama.js';

const cut = (block: number) => ({
  name: `without ${block}`,
  modifiers: [{ type: 'prune.layers', targets: { include: [`blocks.${block}`] }, exactly: true }],
});
const int8 = (...include: string[]) => ({
  name: 'int8',
  modifiers: [{ type: 'quant.rtn', targets: { include }, format: 'int8-channel', activation: 'none' }],
});

/** Two cuts, so that a block moves twice: of 0, 1, 2, 3 stay 1 and 3, and 3 is packed. */
const stages = [cut(0), int8('blocks.2.**', 'head'), cut(1)];

async function compressed(tied: boolean) {
  const model = createModel({ ...config, tie_word_embeddings: tied }, { seed: 1 });
  const recipe = parseRecipe({ version: 1, seed: 1, stages });
  const { report } = await compress(model, recipe, {
    methods: [...pruneMethods, ...quantMethods],
    rebuild: skeleton,
  });
  return report;
}

it.each([true, false])(
  'tells the bytes of each layer, by the path that it had (tied head: %s)',
  async (tied) => {
    const { layers, bytesBefore, bytesAfter } = await compressed(tied);
    const sum = (key: 'bytesBefore' | 'bytesAfter') => layers.reduce((total, layer) => total + layer[key], 0);
    expect([sum('bytesBefore'), sum('bytesAfter')]).toEqual([bytesBefore, bytesAfter]);
    const of = (path: string) => layers.find((layer) => layer.path === path);
    const [first, second, third, fourth] = [0, 1, 2, 3].map((block) => of(`blocks.${block}`));
    expect([first?.bytesAfter, third?.bytesAfter]).toEqual([0, 0]);
    expect(first?.bytesBefore).toBe(fourth?.bytesBefore);
    expect(second?.bytesAfter).toBe(second?.bytesBefore);
    expect(fourth?.bytesAfter).toBeLessThan(0.35 * (fourth?.bytesBefore as number));
    expect(fourth?.bytesAfter).toBeGreaterThan(0.25 * (fourth?.bytesBefore as number));
    // A tied head is the embedding, and packed with it.
    const { vocab_size: V, hidden_size: C } = config;
    expect(of('embed')?.bytesBefore).toBe(4 * V * C);
    expect(of('embed')?.bytesAfter).toBe(tied ? V * (C + 4) : 4 * V * C);
    expect([of('head')?.bytesBefore, of('head')?.bytesAfter]).toEqual(
      tied ? [0, 0] : [4 * V * C, V * (C + 4)],
    );
  },
);

it('shows them on its page, beside errors by layer', async () => {
  const page = reportPage(await compressed(false));
  expect(page).toContain('Lines of bytes of weights over block: before, after');
  expect(page).toContain('Share of the weights that changed');
  for (const path of ['embed', 'blocks.0', 'blocks.3', 'norm', 'head']) expect(page).toContain(`>${path}<`);
});
