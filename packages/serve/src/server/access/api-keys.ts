import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { ArgumentError } from '@frugal/tensor-core';

/** Who may use the server. The key itself is never stored: 256 random bits need no salt and no slow hash. */
export interface ApiKey {
  /** For logs and metrics. */
  readonly name: string;
  /** SHA-256 of the key, in hexadecimal: `hashApiKey(key)`. */
  readonly sha256: string;
  /** Default: those of the server. */
  readonly limits?: ClientLimits | undefined;
}

/** How much one client may ask for; default: no limit but those of the engine. */
export interface ClientLimits {
  /** Requests a minute on average; as many may come at once. */
  readonly requestsPerMinute?: number | undefined;
  /** Requests that are being answered at the same time. */
  readonly concurrentRequests?: number | undefined;
  /** The lowest `priority` that it may ask for: lower ones go before the requests of others. Default: any. */
  readonly lowestPriority?: number | undefined;
}

export function newApiKey(): string {
  return `frugal-${randomBytes(32).toString('base64url')}`;
}

export function hashApiKey(key: string): string {
  return digest(key).toString('hex');
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** A set of keys that can be replaced while the server runs. */
export class ApiKeys {
  private entries: readonly { readonly key: ApiKey; readonly hash: Buffer }[] = [];
  private asked = false;

  /** @throws ArgumentError for a hash that is none, or two keys of one name */
  constructor(keys: readonly ApiKey[]) {
    this.replace(keys);
  }

  get isEmpty(): boolean {
    return this.entries.length === 0;
  }

  /** Whether nobody needs a key. Keys that were taken away leave a server that lets nobody in, not one that is open. */
  get isOpen(): boolean {
    return !this.asked;
  }

  /** @throws ArgumentError as the constructor does; the old keys stay then */
  replace(keys: readonly ApiKey[]): void {
    const names = new Set<string>();
    this.entries = keys.map((key) => {
      const where = 'API keys';
      if (!/^[0-9a-f]{64}$/i.test(key.sha256)) {
        const expected = '64 hexadecimal digits: the SHA-256 of the key';
        throw new ArgumentError({ where, what: `the hash of ${key.name} is none`, expected });
      }
      if (names.has(key.name))
        throw new ArgumentError({ where, what: 'two keys have one name', got: key.name });
      names.add(key.name);
      return { key, hash: Buffer.from(key.sha256, 'hex') };
    });
    this.asked ||= !this.isEmpty;
  }

  /** The entry of a key that a client sent. Takes the same time for every key, right or wrong. */
  find(presented: string): ApiKey | null {
    const hash = digest(presented);
    let found: ApiKey | null = null;
    for (const entry of this.entries) if (timingSafeEqual(entry.hash, hash)) found = entry.key;
    return found;
  }
}
