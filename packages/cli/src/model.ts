import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, openCheckpoint } from '@frugal/checkpoint';
import {
  encoderOf,
  huggingFaceNames,
  kindOf,
  type LoadModelOptions,
  modelOf,
  tokenizerOf,
} from '@frugal/models';
import { currentBackend } from '@frugal/tensor-core';
import type { CausalLM, Model } from '@frugal/tensor-core/nn';
import { loadTokenizer, type Tokenizer } from '@frugal/tokenizers';
import type { Context } from './context.js';
import { CommandError } from './errors.js';
import { exists } from './files.js';
import { isHubReference } from './hub/reference.js';
import { type NamedPlace, spread } from './placement.js';
import { keepActivations } from './precise.js';
import { preferredDType } from './preferred-dtype.js';
import { withProgress } from './progress.js';
import { byteCount } from './verb.js';

interface LoadOptions {
  readonly precise?: boolean | undefined;
  /** For generation alone: weights and activations in what the device multiplies best, unless `precise`. Default: f32. */
  readonly preferred?: boolean;
  /** Matrices stay as the file has them, and in it where that is possible. */
  readonly stored?: boolean;
  /** Folder of an adapter in PEFT's layout. */
  readonly adapter?: string | undefined;
  /** Bytes of experts in memory. */
  readonly expertMemory?: number | undefined;
  readonly place?: readonly NamedPlace[] | undefined;
}

/** The option of verbs that apply an adapter. */
export const ADAPTER_OPTION = ['--adapter <DIR>', "a LoRA adapter in PEFT's layout for this model"] as const;

/** The option of verbs that run models with experts. */
export const EXPERT_MEMORY_OPTION = [
  '--expert-memory <SIZE>',
  'of a mixture of experts: so much of them in memory, the others stay on the disk and are fetched ahead (default: all in memory)',
  byteCount,
] as const;

/** Where experts lie that are not in memory: beside what the hub keeps, since temporary folders are often in memory. */
export async function expertMemorySettings(
  budget: number | undefined,
): Promise<LoadModelOptions['expertMemory']> {
  if (budget === undefined) return undefined;
  const { getHFHubCachePath } = await import('@huggingface/hub');
  return { budget, folder: join(getHFHubCachePath(), 'frugal-experts') };
}

/**
 * The folder or file that MODEL names; a model of the hub is downloaded first.
 * @throws CommandError when there is nothing that can be opened
 */
export async function modelPath(source: string, context: Context): Promise<string> {
  if (isHubReference(source)) return (await import('./hub/fetch-model.js')).fetchModel(source, context);
  if (/\.(safetensors|bin|pth?|ckpt|onnx)$/i.test(source)) {
    throw new CommandError({
      where: 'MODEL',
      what: 'weights alone are no model',
      got: source,
      expected: 'a folder with config.json, *.safetensors and tokenizer.json, a .gguf file, or hf:org/name',
      hint: 'Name the folder, not the file in it.',
    });
  }
  return source;
}

/**
 * Tokenizer and model at a path from `modelPath`, which is opened once. `ready` is told the tokenizer before the weights are
 * loaded, so that what is wrong with a prompt shows at once.
 * @throws CommandError when there is no such folder or file
 */
export async function openSpeaker(
  path: string,
  context: Context,
  options: LoadOptions & { readonly ready?: (tokenizer: Tokenizer) => void } = {},
): Promise<{ readonly tokenizer: Tokenizer; readonly model: CausalLM }> {
  await requireThere(path);
  const checkpoint = await openCheckpoint(path);
  try {
    const tokenizer = await tokenizerOf(checkpoint);
    options.ready?.(tokenizer);
    return { tokenizer, model: await load(checkpoint, context, options) };
  } finally {
    await checkpoint.close();
  }
}

/** Loads the weights at a path from `modelPath` on the current backend. */
export async function openModel(
  path: string,
  context: Context,
  options: LoadOptions = {},
): Promise<CausalLM> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await load(checkpoint, context, options);
  } finally {
    await checkpoint.close();
  }
}

/** {@link openModel} for encoders as well, and for work on one block after the other: matrices stay as the file has them. */
export async function openAnyModel(path: string, context: Context): Promise<Model> {
  const checkpoint = await openCheckpoint(path);
  try {
    const isEncoder = checkpoint.kind === 'directory' && kindOf(checkpoint.config) === 'encoder';
    return isEncoder
      ? await encoderOf(checkpoint, { dtype: 'stored' })
      : await load(checkpoint, context, { stored: true });
  } finally {
    await checkpoint.close();
  }
}

async function load(
  checkpoint: Checkpoint,
  context: Context,
  { precise, preferred, stored, adapter, expertMemory, place }: LoadOptions,
): Promise<CausalLM> {
  const memory = await expertMemorySettings(expertMemory);
  const best = preferred && !precise && !place ? preferredDType([currentBackend()]) : 'f32';
  const dtype = stored ? 'stored' : best;
  const model = await withProgress(context, 'Loading', (update) =>
    modelOf(checkpoint, {
      dtype,
      expertMemory: memory,
      onProgress: ({ done, total }) => update(done, total),
    }),
  );
  if (precise) keepActivations(model);
  if (adapter !== undefined) {
    const { loadAdapter } = await import('@frugal/lora'); // most models come without, and it takes its time
    await loadAdapter(model, adapter, huggingFaceNames(model.config));
  }
  if (place) await spread(model, place);
  return model;
}

/** @throws CommandError when there is no such folder or file */
export async function openTokenizer(path: string): Promise<Tokenizer> {
  await requireThere(path);
  if (!path.toLowerCase().endsWith('.gguf')) return loadTokenizer(path);
  const checkpoint = await openCheckpoint(path);
  try {
    return await tokenizerOf(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** Of experts, in the layouts of Hugging Face and GGUF; experts that all tokens share are none of them. */
const EXPERT_TENSOR = /\.experts\.|_exps\./;

/** Bytes of weights that a model will hold in memory: of its experts no more than the memory that is theirs. */
export async function residentWeightBytes(path: string, expertMemory?: number): Promise<number> {
  const all = await weightFileBytes(path);
  if (expertMemory === undefined) return all;
  const checkpoint = await openCheckpoint(path);
  try {
    const experts = [...checkpoint.tensors.entries]
      .filter(([name]) => EXPERT_TENSOR.test(name))
      .reduce((sum, [, { byteLength }]) => sum + byteLength, 0);
    return all - Math.max(0, experts - expertMemory);
  } finally {
    await checkpoint.close();
  }
}

/** Bytes of a file, or of the safetensors files in a folder. */
export async function weightFileBytes(path: string): Promise<number> {
  const entry = await stat(path);
  if (!entry.isDirectory()) return entry.size;
  const files = (await readdir(path)).filter((name) => name.endsWith('.safetensors'));
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(path, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** @throws CommandError when there is no such folder or file */
export async function requireThere(path: string): Promise<void> {
  if (!(await exists(path))) throw new CommandError({ where: path, what: 'there is no such folder or file' });
}
