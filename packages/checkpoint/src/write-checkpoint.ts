import type { Checkpoint } from './checkpoint.js';
import { formatConfig } from './json/config-json.js';
import type { JsonValue } from './json/json.js';
import { MANIFEST_FILE, type Manifest } from './manifest.js';
import { type SaveOptions, saveDirectory } from './save/directory.js';
import type { TensorInputs } from './tensor-input.js';

/** Contents of a checkpoint to be written. File names are relative to its folder. */
export interface CheckpointContents {
  /** config.json, in the form Hugging Face uses. */
  readonly config: object;
  /** The weights: model.safetensors, or shards with an index. */
  readonly tensors: TensorInputs;
  /** tokenizer.json and what else belongs to the model, by file name: see {@link readCompanionFiles}. */
  readonly tokenizerFiles?: Readonly<Record<string, string | Uint8Array>>;
  /** generation_config.json. */
  readonly generationConfig?: object;
  /** frugal.json. */
  readonly manifest?: Manifest;
  /** What a trainer needs to go on, kept under `trainer/`. */
  readonly trainer?: { readonly state: JsonValue; readonly optimizer?: TensorInputs };
  /** Any other files. */
  readonly extraFiles?: Readonly<Record<string, string | Uint8Array>>;
  /** Header metadata of the weights. Default: `{ format: 'pt' }`, which transformers asks for. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface WriteCheckpointOptions extends Pick<SaveOptions, 'durable' | 'onStep'> {
  /** Replace a checkpoint that is already there. Default: false, which throws CheckpointExistsError. */
  readonly force?: boolean;
  /** Bytes of tensors per file. Default: 5 GB. */
  readonly maxShardBytes?: number;
}

/** Where the state of a trainer lies in a checkpoint. */
export const TRAINER_STATE_FILE = 'trainer/state.json';
/** Where the state of the optimizer lies in a checkpoint. */
export const OPTIMIZER_FILE = 'trainer/optimizer.safetensors';

const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
  'tokenizer.model',
  'vocab.json',
  'vocab.txt',
  'merges.txt',
];

/**
 * Writes a checkpoint in the Hugging Face layout, atomically: see `saveDirectory`.
 * Throws CheckpointExistsError when something is at `path` and `force` is not set.
 */
export async function writeCheckpoint(
  path: string,
  contents: CheckpointContents,
  { force = false, maxShardBytes = 5e9, ...saveOptions }: WriteCheckpointOptions = {},
): Promise<void> {
  const { config, tensors, generationConfig, manifest, trainer } = contents;
  const options = { ...saveOptions, replace: force };
  await saveDirectory(
    path,
    async (staging) => {
      await staging.writeFile('config.json', formatConfig(config));
      if (generationConfig) await staging.writeJson('generation_config.json', generationConfig);
      if (manifest) await staging.writeJson(MANIFEST_FILE, manifest);
      for (const [name, content] of Object.entries({ ...contents.tokenizerFiles, ...contents.extraFiles })) {
        await staging.writeFile(name, content);
      }
      const metadata = contents.metadata ?? { format: 'pt' };
      await staging.writeTensors('model.safetensors', tensors, { metadata, maxShardBytes });
      if (!trainer) return;
      await staging.writeJson(TRAINER_STATE_FILE, trainer.state);
      if (trainer.optimizer) await staging.writeTensors(OPTIMIZER_FILE, trainer.optimizer);
    },
    options,
  );
}

/** How sentence-transformers makes vectors of what an encoder puts out: its list of modules, and a folder for each. */
const SENTENCE_FILES = ['modules.json', 'sentence_bert_config.json', 'config_sentence_transformers.json'];
const SENTENCE_MODULE = /^\d+_\w+\/(config\.json|model\.safetensors)$/;

/**
 * What belongs to a model beside its weights and its config, ready to be written to another checkpoint: the files of its
 * tokenizer, and those of sentence-transformers.
 */
export async function readCompanionFiles(checkpoint: Checkpoint): Promise<Record<string, Uint8Array>> {
  const known = [...TOKENIZER_FILES, ...SENTENCE_FILES];
  const names = checkpoint.files.filter((name) => known.includes(name) || SENTENCE_MODULE.test(name));
  const contents = await Promise.all(names.map((name) => checkpoint.readFile(name)));
  return Object.fromEntries(names.map((name, i) => [name, contents[i]]));
}
