import { BackendError, referenceBackend, transfer, withBackend } from '@frugal/tensor-core';
import { UnchangedStepError } from './errors.js';
import type { NamedParameter, Optimizer, Update } from './optimizers/optimizer.js';

/**
 * Updates all parameters, also when the memory of a device ends in the middle of it: what is done stays, and the rest follows one
 * by one, while the gradients of the others wait on the host. Returns what was thrown meanwhile; the gradients are gone then.
 * @throws UnchangedStepError when it fails before anything has changed, BackendError when the rest fails as well
 */
export function updateWhole(
  optimizer: Optimizer,
  parameters: readonly NamedParameter[],
  update: Update,
): BackendError | null {
  const members = parameters.filter(({ parameter }) => parameter.gradient !== null);
  const storages = members.map(({ parameter }) => parameter.value.storage);
  const versions = storages.map(({ version }) => version);
  try {
    optimizer.step(members, update);
    return null;
  } catch (error) {
    const rest = members.filter((_, i) => storages[i].version === versions[i]);
    if (rest.length === members.length) throw new UnchangedStepError(error);
    // Parameters in one storage cannot be told apart.
    if (!(error instanceof BackendError) || new Set(storages).size < storages.length) throw error;
    for (const { parameter } of members)
      if (!rest.some((one) => one.parameter === parameter)) parameter.clearGradient();
    updateOneByOne(optimizer, rest, update);
    return error;
  }
}

/** {@link updateWhole}, when there is little memory. */
function updateOneByOne(optimizer: Optimizer, rest: readonly NamedParameter[], update: Update): void {
  const host = referenceBackend();
  const gradients = rest.map(({ parameter }) => {
    const { gradient } = parameter;
    const saved = gradient && withBackend(host, () => transfer(gradient, host));
    if (saved !== gradient) parameter.clearGradient();
    return saved;
  });
  for (const [i, named] of rest.entries()) {
    const { parameter } = named;
    const saved = gradients[i];
    if (!saved) continue;
    parameter.value.grad = transfer(saved, parameter.value.backend);
    if (parameter.value.grad !== saved) saved.dispose();
    optimizer.step([named], update);
    parameter.clearGradient();
  }
}
