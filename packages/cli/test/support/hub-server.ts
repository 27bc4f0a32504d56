import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that the server saw. */
export interface Seen {
  readonly server: 'hub' | 'cdn';
  readonly url: string;
  readonly range: string | undefined;
  readonly token: string | undefined;
}

type Files = Readonly<Record<string, Uint8Array | string>>;

/** How the content server misbehaves with weights, for one request each. */
export type Mishap =
  | { kind: 'cut'; after: number }
  | { kind: 'damage' }
  | { kind: 'status'; status: number }
  | { kind: 'no-range' };

/** Files from this size on are "large": by SHA-256, and from another server. */
const LARGE = 1000;

/**
 * Behaves like the Hugging Face hub: revisions, paged listings, redirects of large files to another host, ranges,
 * ETags, gated models, and its error codes.
 */
export class HubServer {
  readonly seen: Seen[] = [];
  readonly mishaps: Mishap[] = [];
  private readonly repositories = new Map<
    string,
    { commits: Map<string, Files>; branches: Map<string, string>; token?: string }
  >();
  private constructor(
    private readonly hub: Server,
    private readonly cdn: Server,
  ) {
    hub.on('request', (request, response) => this.answer(request, response));
    cdn.on('request', (request, response) => this.serveContent(request, response));
  }

  static async start(): Promise<HubServer> {
    const listen = () =>
      new Promise<Server>((resolve) => {
        const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
      });
    return new HubServer(await listen(), await listen());
  }

  get url(): string {
    return addressOf(this.hub);
  }

  /** Adds a commit to a branch of `org/name` (a model) or `datasets/org/name`, whose files are small; returns its hash. */
  commit(
    name: string,
    files: Files,
    { branch = 'main', token }: { branch?: string; token?: string } = {},
  ): string {
    const repository = this.repositories.get(name) ?? {
      commits: new Map(),
      branches: new Map(),
      ...(token && { token }),
    };
    const hash = createHash('sha1').update(`${name} ${repository.commits.size}`).digest('hex');
    repository.commits.set(hash, files);
    repository.branches.set(branch, hash);
    this.repositories.set(name, repository);
    return hash;
  }

  /** Requests for contents since the last call. */
  contents(): string[] {
    const found = this.seen
      .splice(0)
      .filter(({ url, server }) => server === 'cdn' || url.includes('/resolve/'));
    return [...new Set(found.map(({ url }) => url.split('/').at(-1) as string))];
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.cdn]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url as string, this.url);
    this.note('hub', request);
    const api = /^\/api\/(?:models\/)?((?:datasets\/)?[^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(pathname);
    const resolve = /^\/((?:datasets\/)?[^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const [, name, revision] = api ? [api[0], api[1], decodeURIComponent(api[3])] : (resolve ?? []);
    const repository = this.repositories.get(name ?? '');
    const allowed = !repository?.token || request.headers.authorization === `Bearer ${repository.token}`;
    if (!repository || !allowed)
      return void refuse(response, 401, 'RepoNotFound', 'Invalid username or password.');
    const commit = repository.branches.get(revision as string) ?? (revision as string);
    const files = repository.commits.get(commit);
    if (!files) return void refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    if (api?.[2] === 'revision')
      return void json(response, {
        _id: 'x',
        id: name,
        sha: commit,
        lastModified: '2026-01-01T00:00:00.000Z',
      });
    if (api) return void this.list(response, files, pathname, Number(searchParams.get('cursor') ?? 0));
    const path = decodeURIComponent(resolve?.[3] as string);
    if (!Object.hasOwn(files, path)) return void refuse(response, 404, 'EntryNotFound', 'Entry not found');
    const bytes = bytesOf(files[path]);
    if (bytes.length < LARGE) return void sendRange(request, response, bytes, gitHash(bytes));
    const location = `${addressOf(this.cdn)}/${name}/${commit}/${path}`;
    response
      .writeHead(302, { location, 'x-linked-size': bytes.length, 'x-linked-etag': `"${sha256(bytes)}"` })
      .end();
  }

  /** Two entries a page. */
  private list(response: ServerResponse, files: Files, path: string, start: number): void {
    const entries = Object.entries(files).map(([name, content]) => {
      const bytes = bytesOf(content);
      const large = bytes.length >= LARGE;
      const lfs = large && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } };
      return { type: 'file', path: name, size: bytes.length, oid: gitHash(bytes), ...lfs };
    });
    const next = `<${this.url}${path}?cursor=${start + 2}>; rel="next"`;
    json(response, entries.slice(start, start + 2), start + 2 < entries.length ? { link: next } : {});
  }

  private serveContent(request: IncomingMessage, response: ServerResponse): void {
    this.note('cdn', request);
    const [, org, name, commit, ...path] = (request.url as string).split('/');
    const files = this.repositories.get(`${org}/${name}`)?.commits.get(commit) as Files;
    const bytes = bytesOf(files[path.join('/')]);
    // The first byte alone is the question of how long the file is.
    const counts = request.headers.range !== 'bytes=0-0' && request.url?.endsWith('.safetensors');
    const mishap = counts ? this.mishaps.shift() : undefined;
    if (mishap?.kind === 'status') return void response.writeHead(mishap.status).end('oops');
    if (mishap?.kind === 'no-range') delete request.headers.range;
    if (mishap?.kind === 'damage') bytes[bytes.length - 1] ^= 1;
    sendRange(request, response, bytes, sha256(bytes), mishap?.kind === 'cut' ? mishap.after : undefined);
  }

  private note(server: 'hub' | 'cdn', { url = '', headers }: IncomingMessage): void {
    this.seen.push({ server, url, range: headers.range, token: headers.authorization });
  }
}

function sendRange(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Uint8Array,
  etag: string,
  cut?: number,
): void {
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = match ? Number(match[1]) : 0;
  const end = match?.[2] ? Math.min(bytes.length, Number(match[2]) + 1) : bytes.length;
  const part = bytes.subarray(start, end);
  const headers = { etag: `"${etag}"`, 'content-length': part.length, 'accept-ranges': 'bytes' };
  const range = { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` };
  response.writeHead(match ? 206 : 200, match ? { ...headers, ...range } : headers);
  if (cut === undefined) return void response.end(part);
  response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
}

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code: string, error: string): void {
  const headers = { 'content-type': 'application/json', 'x-error-code': code };
  response.writeHead(status, headers).end(JSON.stringify({ error }));
}

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const bytesOf = (content: Uint8Array | string): Uint8Array => Uint8Array.from(Buffer.from(content as string));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const gitHash = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
