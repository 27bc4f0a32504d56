import type { Checkpoint } from '@frugal/checkpoint';
import type { ModelConfig, Pooling } from '@frugal/tensor-core/nn';
import { ModelConfigError } from './config-reader.js';

/** What a checkpoint says of how its encoder turns a text into a vector or a class. */
export interface EncoderUse {
  readonly pooling: Pooling;
  /** Whether vectors are divided by their length. */
  readonly normalize: boolean;
  /** Longest text in tokens, those that the tokenizer adds included; null: as long as the positions allow. */
  readonly contextLength: number | null;
  /** What stands before each text. */
  readonly prefix: string;
  readonly lowerCase: boolean;
  /** Of its classes, in the order of its scores; null: it has no classifier, or says nothing of them. */
  readonly labels: readonly string[] | null;
  /** What makes scores of its classes: of one that is true, of each by itself, or none. */
  readonly activation: 'softmax' | 'sigmoid' | 'none';
}

/**
 * Reads the files of sentence-transformers beside an encoder (modules.json, pooling, prompts), and the labels of its config.
 * Without such files: the mean of all tokens, as there.
 * @throws ModelConfigError for a module or a kind of pooling that would change the vectors and is not known
 */
export async function encoderUse(checkpoint: Checkpoint): Promise<EncoderUse> {
  const read = async (file: string) =>
    checkpoint.files.includes(file) ? await checkpoint.readJson(file) : undefined;
  const modules = modulesOf(await read('modules.json'));
  const pooling = modules.find(({ kind }) => kind === 'Pooling');
  const poolingConfig =
    pooling && objectOf(await read(`${pooling.path}/config.json`), `${pooling.path}/config.json`);
  const text = objectOf((await read('sentence_bert_config.json')) ?? {}, 'sentence_bert_config.json');
  const prompts = objectOf((await read(PROMPTS)) ?? {}, PROMPTS);
  const prefix = prefixOf(prompts);
  if (prefix !== '' && poolingConfig?.include_prompt === false) {
    throw unknown(
      `${pooling?.path}/config.json`,
      'the prompt is left out of the mean',
      'include_prompt: false',
    );
  }
  return {
    pooling: poolingConfig ? poolingOf(poolingConfig, `${pooling?.path}/config.json`) : 'mean',
    normalize: modules.some(({ kind }) => kind === 'Normalize'),
    contextLength: typeof text.max_seq_length === 'number' ? text.max_seq_length : null,
    prefix,
    lowerCase: text.do_lower_case === true,
    ...classesOf(checkpoint.config),
  };
}

const PROMPTS = 'config_sentence_transformers.json';

interface ModuleEntry {
  /** Last part of the Python class. */
  readonly kind: string;
  readonly path: string;
}

function modulesOf(json: unknown): readonly ModuleEntry[] {
  if (json === undefined) return [];
  const where = 'modules.json';
  if (!Array.isArray(json)) throw unknown(where, 'this is no list of modules', typeof json);
  const modules = json.map((entry) => {
    const { type, path } = objectOf(entry, where);
    return { kind: String(type).split('.').at(-1) ?? '', path: String(path ?? '') };
  });
  const kinds = modules.map(({ kind }) => kind);
  const strange = kinds.find((kind) => !['Transformer', 'Pooling', 'Normalize'].includes(kind));
  if (strange !== undefined) {
    throw unknown(
      where,
      'this module changes the vectors and is not known',
      strange,
      'Transformer, Pooling, Normalize',
    );
  }
  if (kinds[0] !== 'Transformer' || kinds.filter((kind) => kind === 'Pooling').length > 1) {
    throw unknown(
      where,
      'the modules stand in no known order',
      kinds.join(', '),
      'Transformer, Pooling, Normalize',
    );
  }
  return modules;
}

/** The flags that say how tokens become one vector, or the one name of newer files. */
const poolings: Record<string, Pooling> = {
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_cls_token: 'first',
  mean: 'mean',
  cls: 'first',
};

function poolingOf(config: ModelConfig, where: string): Pooling {
  const flags = Object.keys(config).filter((key) => key.startsWith('pooling_mode_') && config[key] === true);
  const named = typeof config.pooling_mode === 'string' ? [config.pooling_mode] : [];
  const chosen = [...flags, ...named];
  if (chosen.length === 1 && Object.hasOwn(poolings, chosen[0])) return poolings[chosen[0]];
  throw unknown(where, 'this pooling is not known', chosen.join(' and ') || 'none', 'mean or cls, alone');
}

function prefixOf({ prompts, default_prompt_name: name }: ModelConfig): string {
  if (typeof name !== 'string') return '';
  const prompt = objectOf(prompts ?? {}, PROMPTS)[name];
  if (typeof prompt === 'string') return prompt;
  throw unknown(PROMPTS, 'the default prompt is not among the prompts', name);
}

function classesOf({
  id2label,
  num_labels,
  problem_type: problem,
}: ModelConfig): Pick<EncoderUse, 'labels' | 'activation'> {
  const byId =
    typeof id2label === 'object' && id2label !== null ? (id2label as Record<string, unknown>) : null;
  const labels = byId && Object.keys(byId).map((_, id) => String(byId[id] ?? `LABEL_${id}`));
  const isAlone = (labels?.length ?? num_labels) === 1;
  if (problem === 'regression') return { labels, activation: 'none' };
  return { labels, activation: problem === 'multi_label_classification' || isAlone ? 'sigmoid' : 'softmax' };
}

function objectOf(json: unknown, where: string): ModelConfig {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as ModelConfig;
  throw unknown(where, 'this is no JSON object', Array.isArray(json) ? 'a list' : typeof json);
}

function unknown(where: string, what: string, got: string, expected?: string): ModelConfigError {
  return new ModelConfigError({ where, what, got, expected });
}
