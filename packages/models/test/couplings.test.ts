import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { StackedLinear } from '@frugal/moe';
import { type Embedding, isLinearLike, type LayerNorm } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';
import { skeleton } from '../src/index.js';

const fixtures = fileURLToPath(new URL('../../../oracles/fixtures/families', import.meta.url));
const models = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('bert'))
  .map(({ name }) => name);

/** Entries along an axis: of a stack of experts, experts. */
function size(module: unknown, axis: 'rows' | 'columns'): number {
  if (module instanceof StackedLinear) return module.experts;
  const { weight } = module as Embedding | LayerNorm;
  if (isLinearLike(module as never)) {
    const linear = module as { inFeatures: number; outFeatures: number };
    return axis === 'rows' ? linear.outFeatures : linear.inFeatures;
  }
  return weight.shape[axis === 'rows' ? 0 : 1];
}

it.each(models)('%s: members of couplings exist and have their units, norm groups exist', (name) => {
  const config = JSON.parse(readFileSync(`${fixtures}/${name}/config.json`, 'utf8'));
  const model = skeleton(config);
  const couplings = model.couplings();
  expect(new Set(couplings.map(({ path }) => path)).size).toBe(couplings.length);
  for (const { kind, members, units, path } of couplings) {
    for (const member of members) {
      const entries = size(model.module(member.path), member.axis);
      // The rows behind the latent vector make the rotary key.
      if (kind === 'cache' && member.path.endsWith('latentDown')) expect(entries).toBeGreaterThan(units);
      else expect(entries, `${path}: ${member.path}`).toBe(units * member.entriesPerUnit);
    }
  }
  for (const { norm, consumers } of model.normGroups()) {
    const channels = size(model.module(norm), 'rows');
    for (const consumer of consumers)
      expect(size(model.module(consumer), 'columns'), consumer).toBe(channels);
  }
  for (const block of model.blocks.keys())
    expect(couplings.some(({ path }) => path.startsWith(`blocks.${block}.`))).toBe(true);
  expect(model.cacheSpec.length).toBe(model.blocks.length + model.extraBlocks.length);
});
