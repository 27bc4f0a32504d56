import { copyFile, lstat, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { getHFHubCachePath, getRepoFolderName } from '@huggingface/hub';
import type { HubReference } from './reference.js';

/** A repository's part of the cache that all tools around the hub share (`HF_HUB_CACHE`, `HF_HOME`). */
export class RepositoryCache {
  readonly folder: string;

  constructor({ kind, repository }: Pick<HubReference, 'kind' | 'repository'>) {
    this.folder = join(getHFHubCachePath(), getRepoFolderName({ name: repository, type: kind }));
  }

  /** Where a commit's files are, under their own names. */
  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** Where contents are, by their hash. */
  blob(hash: string): string {
    return join(this.folder, 'blobs', hash);
  }

  /** The commit that a branch or tag had last time; undefined: never seen. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (COMMIT.test(revision)) return revision;
    return readFile(this.reference(revision), 'utf8').then(
      (text) => (COMMIT.test(text.trim()) ? text.trim() : undefined),
      () => undefined,
    );
  }

  async remember(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    await mkdir(dirname(this.reference(revision)), { recursive: true });
    await writeFile(this.reference(revision), commit);
  }

  async hasBlob(hash: string, size: number): Promise<boolean> {
    return stat(this.blob(hash)).then(
      (found) => found.size === size,
      () => false,
    );
  }

  /** Gives a content its name in a commit. */
  async link(commit: string, path: string, hash: string): Promise<void> {
    const name = join(this.snapshot(commit), path);
    const target = relative(dirname(name), this.blob(hash));
    if (await exists(name)) return;
    await mkdir(dirname(name), { recursive: true });
    await rm(name, { force: true }); // a link to a content that was deleted
    await symlink(target, name).catch(() => copyFile(this.blob(hash), name)); // Windows may forbid links
  }

  private reference(revision: string): string {
    return join(this.folder, 'refs', revision);
  }
}

const COMMIT = /^[0-9a-f]{40}$/;

export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/** Whether a file is there; a link counts if its target is. */
const exists = (path: string): Promise<boolean> =>
  lstat(path)
    .then(() => stat(path))
    .then(
      () => true,
      () => false,
    );
