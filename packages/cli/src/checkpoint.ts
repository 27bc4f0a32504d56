import { type Checkpoint, fingerprint, openCheckpoint, readCompanionFiles } from '@frugal/checkpoint';
import type { FloatDType } from '@frugal/tensor-core';

/** Opens the checkpoint at a path for as long as `use` takes. */
export async function withCheckpoint<T>(
  path: string,
  use: (checkpoint: Checkpoint) => Promise<T>,
): Promise<T> {
  const checkpoint = await openCheckpoint(path);
  try {
    return await use(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/**
 * What the parameters of a checkpoint are stored in, for results that keep it: what the config says, else the dtype of the
 * largest matrix that is not packed. Undefined where all are packed.
 */
export function storedDType({
  config,
  tensors,
}: Pick<Checkpoint, 'config' | 'tensors'>): FloatDType | undefined {
  const said = String(config.torch_dtype ?? config.dtype).replace(/^torch\./, '');
  if (said in namedDTypes) return namedDTypes[said];
  const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
  const matrices = [...tensors.entries.values()]
    .filter(({ dtype, shape }) => shape.length > 1 && dtype in namedDTypes)
    .sort((a, b) => sizeOf(b.shape) - sizeOf(a.shape));
  return matrices[0] && namedDTypes[matrices[0].dtype];
}

const namedDTypes: Readonly<Record<string, FloatDType>> = {
  float32: 'f32',
  bfloat16: 'bf16',
  float16: 'f16',
  F32: 'f32',
  BF16: 'bf16',
  F16: 'f16',
};

/** Of the weights of a checkpoint. */
export function weightsHash(path: string): Promise<string> {
  return withCheckpoint(path, ({ tensors }) => fingerprint(tensors));
}

/** What a model takes over unchanged from the one it was made of: tokenizer, generation settings, files of sentence-transformers. */
export async function sourceFiles(checkpoint: Checkpoint) {
  const name = 'generation_config.json';
  const generationConfig = checkpoint.files.includes(name)
    ? ((await checkpoint.readJson(name)) as object)
    : undefined;
  return {
    tokenizerFiles: await readCompanionFiles(checkpoint),
    ...(generationConfig && { generationConfig }),
  };
}
