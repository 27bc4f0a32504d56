import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError } from '../errors.js';
import { HubUnavailableError } from './hub.js';

/** A content to fetch, and how to know it. */
export interface Download {
  /** What messages call it. */
  readonly name: string;
  readonly size: number;
  /** SHA-256 of a large file; SHA-1 of a git blob for a small one. */
  readonly hash: string;
  readonly kind: 'sha256' | 'git';
  /** Where it goes. What has arrived lies beside it as `.incomplete` until it is complete and checked. */
  readonly target: string;
  /** Bytes from `start` to the end. */
  read(start: number): Promise<ReadableStream<Uint8Array>>;
}

export interface DownloadOptions {
  readonly signal: AbortSignal;
  readonly onBytes: (arrived: number) => void;
  /** Before the second try; doubled each time. */
  readonly pauseMilliseconds?: number;
}

/** Failures in a row, without a byte in between, after which it is no use to go on. */
const ATTEMPTS = 5;

/** Before the second of them; doubled each time. */
const PAUSE_MILLISECONDS = 500;

/**
 * Downloads one file: goes on where an earlier attempt ended, and checks the whole.
 * @throws CommandError when the content is not what the hub said, or the connection breaks again and again
 */
export async function download(file: Download, options: DownloadOptions): Promise<void> {
  const part = `${file.target}.incomplete`;
  await mkdir(dirname(file.target), { recursive: true });
  const resumed = (await sizeOf(part)) > 0;
  await receive(file, part, options);
  let found = await hashOf(part, file);
  if (found !== file.hash && resumed) {
    // The part that was there may be the damaged one.
    await rm(part);
    options.onBytes(0);
    await receive(file, part, options);
    found = await hashOf(part, file);
  }
  if (found !== file.hash) {
    await rm(part);
    throw new CommandError({
      where: file.name,
      what: `the download is damaged: its ${file.kind === 'git' ? 'git hash' : 'SHA-256'} is wrong`,
      got: found,
      expected: file.hash,
      hint: 'It was removed: try again.',
    });
  }
  await rename(part, file.target);
}

/** Appends until the part has the size of the file. */
async function receive(file: Download, part: string, options: DownloadOptions): Promise<void> {
  const { signal, pauseMilliseconds = PAUSE_MILLISECONDS } = options;
  for (let failures = 0; ; ) {
    if ((await sizeOf(part)) > file.size) await rm(part);
    const before = await sizeOf(part);
    const failure = await append(file, part, before, options);
    const have = await sizeOf(part);
    if (have === file.size) return;
    failures = have > before ? 0 : failures + 1;
    if (failures >= ATTEMPTS) throw broken(file, have, failure);
    if (failures > 0) await sleep(pauseMilliseconds * 2 ** (failures - 1), undefined, { signal });
  }
}

/** Writes what arrives; returns what went wrong with the connection, if anything. */
async function append(
  file: Download,
  part: string,
  start: number,
  { signal, onBytes }: DownloadOptions,
): Promise<unknown> {
  const handle = await open(part, 'a');
  try {
    if (start === file.size) return undefined;
    let have = start;
    onBytes(have);
    for await (const chunk of await file.read(start)) {
      signal.throwIfAborted();
      await handle.writeFile(chunk);
      have += chunk.length;
      onBytes(have);
    }
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    // The hub's own words are clear, and asking again would not change them.
    if (error instanceof CommandError && !(error instanceof HubUnavailableError)) throw error;
    return error;
  } finally {
    await handle.close();
  }
}

function broken({ name, size }: Download, have: number, cause: unknown): CommandError {
  const reason =
    cause instanceof Error ? cause.message : cause === undefined ? 'nothing arrived' : String(cause);
  return new CommandError({
    where: name,
    what: `the connection broke ${ATTEMPTS} times in a row (${reason})`,
    got: `${have} of ${size} bytes`,
    hint: 'They are kept: the same command goes on from there.',
    cause,
  });
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

async function hashOf(path: string, { kind, size }: Download): Promise<string> {
  const hash: Hash = createHash(kind === 'git' ? 'sha1' : 'sha256');
  if (kind === 'git') hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
