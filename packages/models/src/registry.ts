import type { Model, ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';
import type { EncoderModel } from './encoder.js';
import { bert, bertClassifier } from './families/bert.js';
import { deepseekV2, deepseekV3 } from './families/deepseek.js';
import type { Family, NameMap } from './families/family.js';
import { gemma2, gemma3 } from './families/gemma.js';
import { llama } from './families/llama.js';
import { mistral } from './families/mistral.js';
import { mixtral } from './families/mixtral.js';
import { qwen2, qwen3 } from './families/qwen.js';
import { qwen2Moe } from './families/qwen2-moe.js';
import { qwen3Moe } from './families/qwen3-moe.js';
import { smolLm3 } from './families/smollm3.js';
import { tabularMlp, tabularTransformer } from './families/tabular.js';
import type { TabularModel } from './tabular.js';

/** A new family is its file in `families/` and one entry here. */
const families: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  qwen2Moe,
  qwen3Moe,
  mixtral,
  gemma2,
  gemma3,
  deepseekV2,
  deepseekV3,
  smolLm3,
];

/** Models that do not predict a next token, and how they are opened. */
const encoders: readonly Family<EncoderModel>[] = [bert, bertClassifier];
const tables: readonly Family<TabularModel>[] = [tabularTransformer, tabularMlp];

const kinds = {
  'a language model': { families, open: 'loadModel' },
  'an encoder': { families: encoders, open: 'loadEncoder' },
  'a tabular model': { families: tables, open: 'loadTabular' },
} as const;

/** @throws ModelConfigError naming the supported architectures */
export function familyOf(config: ModelConfig): Family {
  return find(config, families, 'a language model');
}
export function encoderFamilyOf(config: ModelConfig): Family<EncoderModel> {
  return find(config, encoders, 'an encoder');
}
export function tabularFamilyOf(config: ModelConfig): Family<TabularModel> {
  return find(config, tables, 'a tabular model');
}
/** Of any kind. */
export function anyFamilyOf(config: ModelConfig): Family<Model> {
  const all: readonly Family<Model>[] = [...families, ...encoders, ...tables];
  return find(config, all, 'a model');
}

function find<M extends Model>(config: ModelConfig, known: readonly Family<M>[], wanted: string): Family<M> {
  const architecture = Array.isArray(config.architectures) ? String(config.architectures[0]) : 'nothing';
  const isIt = ({ architectures }: Family<Model>) => architectures.includes(architecture);
  const family = known.find(isIt);
  if (family) return family;
  const other = Object.entries(kinds).find(([, { families: list }]) => list.some(isIt));
  throw new ModelConfigError({
    where: 'config.json',
    what: other ? `this is ${other[0]}, not ${wanted}` : 'unknown architecture',
    got: architecture,
    expected: known.flatMap(({ architectures }) => architectures).join(', '),
    ...(other && { hint: `Open it with ${other[1].open}().` }),
  });
}

/** Our parameter paths → names in a Hugging Face checkpoint of this model. */
export function namesOf(config: ModelConfig): NameMap {
  return anyFamilyOf(config).names(config);
}

/** Which of `loadModel`, `loadEncoder` and `loadTabular` opens a model. @throws ModelConfigError for an unknown architecture */
export function kindOf(config: ModelConfig): 'decoder' | 'encoder' | 'tabular' {
  const family = anyFamilyOf(config);
  if ((encoders as readonly Family<Model>[]).includes(family)) return 'encoder';
  return (tables as readonly Family<Model>[]).includes(family) ? 'tabular' : 'decoder';
}
