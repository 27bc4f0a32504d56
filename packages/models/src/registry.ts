import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';
import { deepseekV2, deepseekV3 } from './families/deepseek.js';
import type { Family, NameMap } from './families/family.js';
import { gemma2, gemma3 } from './families/gemma.js';
import { llama } from './families/llama.js';
import { mistral } from './families/mistral.js';
import { mixtral } from './families/mixtral.js';
import { qwen2, qwen3 } from './families/qwen.js';
import { qwen3Moe } from './families/qwen3-moe.js';
import { smolLm3 } from './families/smollm3.js';

/** A new family is its file in `families/` and one entry here. */
const families: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  qwen3Moe,
  mixtral,
  gemma2,
  gemma3,
  deepseekV2,
  deepseekV3,
  smolLm3,
];

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
