import { type Checkpoint, fingerprint, openCheckpoint, readTokenizerFiles } from '@frugal/checkpoint';

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

/** Of the weights of a checkpoint. */
export function weightsHash(path: string): Promise<string> {
  return withCheckpoint(path, ({ tensors }) => fingerprint(tensors));
}

/** What a model takes over unchanged from the one it was made of: tokenizer and generation settings. */
export async function sourceFiles(checkpoint: Checkpoint) {
  const name = 'generation_config.json';
  const generationConfig = checkpoint.files.includes(name)
    ? ((await checkpoint.readJson(name)) as object)
    : undefined;
  return {
    tokenizerFiles: await readTokenizerFiles(checkpoint),
    ...(generationConfig && { generationConfig }),
  };
}
