import { CheckpointError, CheckpointWriteError, codeOf, messageOf } from '../errors.js';
import { exists, type SavePlace } from './place.js';

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'Free disk space (old and new version need room side by side) and save again.',
  EDQUOT: 'Your disk quota is used up: free space and save again.',
  EFBIG: 'A limit on the size of files is in the way: save in smaller shards (maxShardBytes).',
  EACCES: 'Choose a folder that you may write to.',
  EPERM: 'Choose a folder that you may write to, and close programs that use this one.',
  EROFS: 'The disk is read-only: choose another folder.',
  EBUSY: 'The folder is a mount point or in use: save into a folder inside of it.',
  EXDEV: 'The folder is a mount point: save into a folder inside of it.',
};

/** What to do when the file system refuses to write with this code, such as ENOSPC; undefined for codes without advice. */
export function writeAdvice(code: string | undefined): string | undefined {
  return code === undefined ? undefined : ADVICE[code];
}

/** Errors of the file system get to know what they mean for the checkpoint; others pass through. */
export async function explain(error: unknown, { target }: Pick<SavePlace, 'target'>): Promise<unknown> {
  const code = codeOf(error);
  if (error instanceof CheckpointError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error;
  const whole = (await exists(target).catch(() => false)) ? 'What was there before is untouched. ' : '';
  return new CheckpointWriteError({
    where: target,
    what: 'could not be saved',
    got: messageOf(error),
    hint: `${whole}${writeAdvice(code) ?? ''}`.trim() || undefined,
    cause: error,
  });
}
