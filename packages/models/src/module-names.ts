import type { ModelConfig, ModuleNames } from '@frugal/tensor-core/nn';
import { toOurs, toTheirs } from './families/family.js';
import { namesOf } from './registry.js';

/** The names in the family that `config` is of. @throws ModelConfigError for an unknown architecture */
export function huggingFaceNames(config: ModelConfig): ModuleNames {
  const names = namesOf(config);
  return {
    toTheirs: (path) => toTheirs(names, path),
    toOurs: (name) => toOurs(names, name),
  };
}
