import { type Checkpoint, openCheckpoint } from '@frugal/checkpoint';

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
