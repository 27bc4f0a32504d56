import { access, readFile } from 'node:fs/promises';
import { CommandError } from './errors.js';

/**
 * A text file as it is.
 * @throws CommandError when it is missing or not UTF-8
 */
export async function readTextFile(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const known: Record<string, string> = {
      ENOENT: 'there is no such file',
      EISDIR: 'this is a folder, not a file',
    };
    throw new CommandError({
      where: path,
      what: known[code ?? ''] ?? `the file cannot be read (${code})`,
      cause,
    });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    const hint = 'Convert it first, for example with iconv.';
    throw new CommandError({ where: path, what: 'the file is not UTF-8 text', hint, cause });
  }
}

/** @throws CommandError when something is at `path` and may not be replaced */
export async function refuseExisting(path: string, force: boolean | undefined): Promise<void> {
  if (force || !(await exists(path))) return;
  throw new CommandError({
    where: path,
    what: 'exists already',
    hint: 'Choose another name, or use --force.',
  });
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
