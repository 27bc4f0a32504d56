import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';

/**
 * Readers of GGUF take much of a model for granted. A config that says otherwise would become another model, silently.
 * @throws ModelConfigError unless the field is left out, or has one of the values that they compute with
 */
export function requireSetting(
  config: ModelConfig,
  field: string,
  allowed: readonly (string | number | boolean | null)[],
): void {
  const value = config[field];
  if (value === undefined || allowed.includes(value as string)) return;
  refuseConfig(`field ${field} has a value that GGUF cannot hold`, JSON.stringify(value), allowed.join(', '));
}

/** @throws ModelConfigError */
export function refuseConfig(what: string, got: string, expected?: string): never {
  throw new ModelConfigError({ where: 'config.json', what, got, ...(expected && { expected }) });
}
