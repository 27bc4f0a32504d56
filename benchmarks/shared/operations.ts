import { MixtureOfExperts } from '@frugal/moe';
import { type CausalLM, isLinearLike } from '@frugal/tensor-core/nn';

/** Multiplications and additions per token: two per weight that it meets. Experts count by the share that runs. */
export function operationsPerToken(model: CausalLM): number {
  const mixtures = [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof MixtureOfExperts
      ? [{ path, share: module.router.options.chosen / module.router.experts }]
      : [],
  );
  let operations = 2 * model.vocabularySize * model.embed.size; // the head, which may be tied
  for (const [path, module] of model.namedModules()) {
    if (path === 'head' || !isLinearLike(module)) continue;
    const owner = mixtures.find((mixture) => path.startsWith(`${mixture.path}.experts.`));
    operations += 2 * module.inFeatures * module.outFeatures * (owner?.share ?? 1);
  }
  for (const { path } of mixtures)
    operations += 2 * (model.module(`${path}.router`).parameters()[0].shape[0] + 1) * model.embed.size;
  return operations;
}
