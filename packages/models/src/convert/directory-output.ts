import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Checkpoint,
  formatConfig,
  layoutSafetensors,
  type Manifest,
  planShards,
  readCompanionFiles,
  saveDirectory,
  type TensorInput,
  writeResumable,
} from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { tokenizerOf } from '../tokenizer.js';
import type { OutputPlan, WriteOutput } from './convert.js';
import { fromGgufTensors } from './model-tensors.js';
import { directoryTensors } from './quantized-tensors.js';

/** Files of a directory by name; values that are no text or bytes are written as JSON. */
type Files = Record<string, string | Uint8Array | object>;

/** A Hugging Face directory from a GGUF file, or from another directory with other dtypes. */
export async function planDirectory(checkpoint: Checkpoint, output: string): Promise<OutputPlan> {
  const isGguf = checkpoint.kind === 'gguf';
  const { config, tensors } = isGguf ? await fromGgufTensors(checkpoint) : directoryTensors(checkpoint);
  const files = await companionFiles(checkpoint, config);
  return {
    container: 'safetensors',
    tensors,
    write: (inputs, options) => writeFiles(output, inputs, { config, files, checkpoint }, options),
  };
}

async function writeFiles(
  output: string,
  inputs: readonly TensorInput[],
  { config, files, checkpoint }: { config: ModelConfig; files: Files; checkpoint: Checkpoint },
  options: Parameters<WriteOutput>[1],
): Promise<void> {
  const { maxShardBytes = 5e9, force = false, resume = false } = options;
  const work = `${output.replace(/[/\\]+$/, '')}.partial`;
  if (!resume) await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const { shards, index } = planShards(inputs, maxShardBytes);
  for (const { name, tensors } of shards) {
    const layout = (list: readonly TensorInput[]) => layoutSafetensors(list, { format: 'pt' });
    await writeResumable(join(work, name), tensors, layout, options);
  }
  await saveDirectory(
    output,
    async (staging) => {
      for (const { name } of shards) await rename(join(work, name), join(staging.path, name));
      if (index) await staging.writeJson('model.safetensors.index.json', index);
      const { dtype: _, ...rest } = config;
      await staging.writeFile('config.json', formatConfig({ ...rest, torch_dtype: torchDType(inputs) }));
      await staging.writeJson('frugal.json', manifestOf(checkpoint));
      for (const [name, content] of Object.entries(files)) {
        if (typeof content === 'string' || content instanceof Uint8Array)
          await staging.writeFile(name, content);
        else await staging.writeJson(name, content);
      }
    },
    { replace: force },
  );
  if ((await readdir(work)).length === 0) await rm(work, { recursive: true, force: true });
}

/** What lies beside the weights of a model: tokenizer, generation settings, and how sentence-transformers uses it. */
export async function companionFiles(checkpoint: Checkpoint, config: ModelConfig): Promise<Files> {
  return checkpoint.kind === 'gguf' ? ggufFiles(checkpoint, config) : copiedFiles(checkpoint);
}

async function ggufFiles(checkpoint: Checkpoint, config: ModelConfig): Promise<Files> {
  const tokenizer = await tokenizerOf(checkpoint);
  const { bosId, eosIds, padId } = tokenizer;
  const generation = {
    ...(bosId !== undefined && { bos_token_id: bosId }),
    ...(eosIds.length > 0 && { eos_token_id: eosIds.length === 1 ? eosIds[0] : [...eosIds] }),
    ...(padId !== undefined && { pad_token_id: padId }),
    max_length: config.max_position_embeddings,
  };
  return { ...tokenizer.files(), 'generation_config.json': generation };
}

async function copiedFiles(checkpoint: Checkpoint): Promise<Files> {
  const files: Files = await readCompanionFiles(checkpoint);
  for (const name of ['generation_config.json'])
    if (checkpoint.files.includes(name)) files[name] = await checkpoint.readFile(name);
  return files;
}

function manifestOf({ manifest, path }: Checkpoint): Manifest {
  const name = path.split(/[/\\]/).filter(Boolean).pop() ?? path;
  return {
    version: 1,
    kind: 'convert',
    sources: [{ role: 'source', name }],
    ...(manifest && { before: manifest }),
  };
}

function torchDType(inputs: readonly TensorInput[]): string {
  const matrix = inputs.find(({ shape, dtype }) => shape.length > 1 && /^(F32|F16|BF16)$/.test(dtype));
  return { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }[matrix?.dtype as 'F32'] ?? 'float32';
}
