import type { CausalLM } from '@frugal/tensor-core/nn';
import { FormerPaths } from './former-paths.js';
import type { Modifier } from './modifier.js';
import { matchesTargets } from './recipe.js';
import { findSites, type Site } from './site.js';

/**
 * A method whose stage is over. Its targets, and what it remembers of its work, go by the paths of its stage: where blocks
 * were removed since, others moved to those paths, and its own ones away from them.
 */
export class FinishedMethod {
  readonly paths = new FormerPaths();

  constructor(readonly modifier: Modifier) {}

  /** The places where the method worked, as they are now, by the paths that they had then. */
  sites(model: CausalLM): Site[] {
    const { sites: kinds, spec } = this.modifier;
    return findSites(model, kinds, { include: ['**'] })
      .map((site) => ({ ...site, path: this.paths.of(site.path) }))
      .filter(({ path }) => matchesTargets(spec.targets, path));
  }
}
