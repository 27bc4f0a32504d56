import type { ModelConfig } from '@frugal/tensor-core/nn';
import { toOurs, toTheirs } from './families/family.js';
import { namesOf } from './registry.js';

/** Paths of modules and parameters here ↔ their names in a Hugging Face checkpoint; undefined for what one side lacks. */
export interface ModuleNames {
  toTheirs(path: string): string | undefined;
  toOurs(name: string): string | undefined;
}

/** The names in the family that `config` is of. @throws ModelConfigError for an unknown architecture */
export function huggingFaceNames(config: ModelConfig): ModuleNames {
  const names = namesOf(config);
  return {
    toTheirs: (path) => toTheirs(names, path),
    toOurs: (name) => toOurs(names, name),
  };
}
