import { datasetInfo, downloadFile, HubApiError, listFiles, modelInfo } from '@huggingface/hub';
import { CommandError } from '../errors.js';
import { type HubReference, hubName } from './reference.js';
import type { RepositoryFile } from './select-files.js';

/** A file of a repository, with the hash of its content. */
export interface HubFile extends RepositoryFile {
  readonly hash: string;
  readonly kind: 'sha256' | 'git';
}

/** The hub cannot be reached, or is not well: what is in the cache may help. */
export class HubUnavailableError extends CommandError {}

/** One repository of the hub (`HF_ENDPOINT`, `HF_TOKEN`). All errors are CommandErrors. */
export class HubRepository {
  private readonly endpoint = (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  private readonly access;

  constructor(
    private readonly reference: Pick<HubReference, 'kind' | 'repository'>,
    signal: AbortSignal,
  ) {
    this.access = {
      repo: { type: reference.kind, name: reference.repository },
      hubUrl: this.endpoint,
      fetch: hubFetch(this.endpoint, signal),
    };
  }

  /** The commit that a branch, tag or commit names. */
  async commitOf(revision: string): Promise<string> {
    const { kind, repository: name } = this.reference;
    const question = { ...this.access, name, revision, additionalFields: ['sha' as const] };
    const { sha } = await this.ask(revision, async () =>
      kind === 'dataset' ? datasetInfo(question) : modelInfo(question),
    );
    return sha;
  }

  async files(commit: string): Promise<HubFile[]> {
    return this.ask(commit, async () => {
      const files: HubFile[] = [];
      for await (const { type, path, size, oid = '', lfs } of listFiles({
        ...this.access,
        recursive: true,
        revision: commit,
      })) {
        if (type === 'file')
          files.push(
            lfs
              ? { path, size: lfs.size, hash: lfs.oid, kind: 'sha256' }
              : { path, size, hash: oid, kind: 'git' },
          );
      }
      return files;
    });
  }

  /** The bytes of a file from `start` on. */
  async read(commit: string, path: string, start: number): Promise<ReadableStream<Uint8Array>> {
    // Plain ranges, not the chunk protocol: they can go on anywhere.
    const blob = await this.ask(commit, () =>
      downloadFile({ ...this.access, path, revision: commit, xet: false }),
    );
    if (!blob) throw this.error('there is no such file', `${path} at ${commit}`);
    return (start > 0 ? blob.slice(start) : blob).stream();
  }

  private async ask<T>(revision: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (!(cause instanceof HubApiError)) {
        if (!(cause instanceof TypeError)) throw cause; // fetch says everything with a TypeError
        throw new HubUnavailableError({
          where: `${hubName(this.reference)}`,
          what: `the hub cannot be reached at ${this.endpoint} (${reasonOf(cause)})`,
          hint: 'Check the network, and HF_ENDPOINT.',
          cause,
        });
      }
      throw this.refusal(cause, revision);
    }
  }

  private refusal(cause: HubApiError, revision: string): CommandError {
    const { statusCode } = cause;
    const page = `${this.endpoint}/${this.reference.repository}`;
    if (statusCode === 401 || statusCode === 403) {
      const hint = process.env.HF_TOKEN
        ? `HF_TOKEN must be valid and may need consent to the conditions at ${page}.`
        : `Is the name right? For private and gated models set HF_TOKEN, and accept the conditions at ${page}.`;
      return this.error(`the hub denies access (${statusCode})`, this.reference.repository, hint, cause);
    }
    if (statusCode === 404)
      return this.error(
        'there is no such model or revision',
        `${this.reference.repository} at ${revision}`,
        undefined,
        cause,
      );
    return new HubUnavailableError({
      where: `${hubName(this.reference)}`,
      what: `the hub answers with an error (${statusCode})`,
      got: cause.message,
      hint: 'Try again in a moment.',
      cause,
    });
  }

  private error(what: string, got: string, hint?: string, cause?: unknown): CommandError {
    return new CommandError({ where: `${hubName(this.reference)}`, what, got, hint, cause });
  }
}

/**
 * fetch that can be interrupted, brings the token, and does not take a whole file for the rest of one. The token goes to
 * the hub alone: fetch drops it when it is sent elsewhere. (The library takes tokens of huggingface.co only, and mirrors
 * have others.)
 */
function hubFetch(endpoint: string, signal: AbortSignal): typeof fetch {
  const token = process.env.HF_TOKEN;
  const { origin } = new URL(endpoint);
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    const isHub = new URL(input instanceof Request ? input.url : input).origin === origin;
    if (token && isHub) headers.set('authorization', `Bearer ${token}`);
    const response = await fetch(input, { ...init, headers, signal });
    const range = headers.get('range');
    if (range && response.status === 200) {
      await response.body?.cancel();
      throw new CommandError({
        where: new URL(response.url).origin,
        what: 'the server cannot send a part of a file',
        got: `200 for ${range}`,
        expected: '206',
        hint: 'Is there a proxy in between?',
      });
    }
    return response;
  };
}

function reasonOf({ message, cause }: Error): string {
  return cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : message;
}
