import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';
import type { Family, NameMap } from './families/family.js';
import { llama } from './families/llama.js';

/** A new family is its file in `families/` and one entry here. */
const families: readonly Family[] = [llama];

/** @throws ModelConfigError naming the supported architectures */
export function familyOf(config: ModelConfig): Family {
  const architecture = Array.isArray(config.architectures) ? String(config.architectures[0]) : 'nothing';
  const family = families.find(({ architectures }) => architectures.includes(architecture));
  if (family) return family;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'unknown architecture',
    got: architecture,
    expected: families.flatMap(({ architectures }) => architectures).join(', '),
  });
}

/** Our parameter paths → names in a Hugging Face checkpoint of this model. */
export function namesOf(config: ModelConfig): NameMap {
  return familyOf(config).names(config);
}
