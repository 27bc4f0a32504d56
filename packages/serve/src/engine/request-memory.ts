import type { PagedKVCache } from '@frugal/tensor-core/generation';
import { type PrefixNode, PrefixTree } from './prefix-tree.js';

/** A text as far as memory is concerned. */
export interface MemoryUser {
  /** Prompt and answer so far. */
  readonly tokens: readonly number[];
  /** How many of them the cache holds. */
  readonly computed: number;
  /** Texts of different spaces never share pages: their adapters differ. */
  readonly space: unknown;
  /** Whether it may begin with pages that others computed. */
  readonly sharesPrefix: boolean;
  /** The cache holds so many more of its tokens, which others computed. */
  reuse(count: number): void;
  /** The cache holds none of its tokens any more. */
  rewind(): void;
}

interface Holding {
  readonly sequence: number;
  /** The last of its pages that the tree knows. */
  node: PrefixNode;
  /** Tokens up to that page. */
  kept: number;
}

/** Gives running texts pages of the cache, and keeps full ones for texts to come. */
export class RequestMemory<T extends MemoryUser> {
  private readonly holdings = new Map<T, Holding>();
  private readonly tree: PrefixTree;

  constructor(private readonly cache: PagedKVCache) {
    this.tree = new PrefixTree(cache.pool, cache.pageSize);
  }

  /** Pages that running texts hold, and pages that are only kept for others. */
  get usage(): { readonly held: number; readonly idle: number } {
    const { idle } = this.tree;
    return { held: this.cache.pool.size - this.cache.freePages - idle, idle };
  }

  sequenceOf(user: T): number {
    return this.holding(user).sequence;
  }

  /**
   * Lets a text begin, with the pages that are there already. Beside its tokens there must be room for what the running
   * texts have still to read, and a page for each of them to write on: else it would soon be stopped again.
   * @returns whether there was room; if not, nothing has changed
   */
  start(user: T, running: readonly T[]): boolean {
    const root = this.tree.root(user.space);
    // The last token is always computed: what follows it is wanted.
    const shareable = user.sharesPrefix ? user.tokens.length - 1 : 0;
    const path = this.tree.match(root, user.tokens, shareable);
    const sequence = this.cache.open();
    this.cache.share(
      sequence,
      path.map(({ page }) => page),
    );
    const computed = this.cache.length(sequence);
    const promised = running.reduce((sum, each) => sum + this.missing(each) + 1, 0);
    if (!this.makeRoom(promised + this.pagesFor(computed, user.tokens.length))) {
      this.cache.close(sequence);
      return false;
    }
    user.reuse(computed);
    const node = path.at(-1) ?? root;
    this.tree.touch(node);
    this.holdings.set(user, { sequence, node, kept: computed });
    return true;
  }

  /** Takes over the next pages, if another text has computed them meanwhile. */
  catchUp(user: T): void {
    const holding = this.holding(user);
    const { sequence } = holding;
    while (user.sharesPrefix && holding.kept === user.computed) {
      const next = this.wanted(user);
      if (!next) return;
      this.cache.share(sequence, [next.page]);
      user.reuse(this.cache.pageSize);
      this.moveTo(holding, next);
    }
  }

  /** Names the page that a text computes next, if others could share it: those that want the same page have the same name. */
  nextPage(user: T): string | null {
    const { node, kept } = this.holding(user);
    const end = kept + this.cache.pageSize;
    if (!user.sharesPrefix || kept !== user.computed || end >= user.tokens.length) return null;
    return `${node.id} ${user.tokens.slice(kept, end)}`;
  }

  /** Makes sure that the texts can be extended by so many tokens. */
  reserve(entries: readonly { readonly request: T; readonly count: number }[]): boolean {
    const needed = entries.reduce(
      (sum, { request, count }) => sum + this.pagesFor(request.computed, request.computed + count),
      0,
    );
    return this.makeRoom(needed);
  }

  /** After a step: drops rejected guesses, and keeps the pages that became full. */
  settle(user: T): void {
    const holding = this.holding(user);
    this.cache.truncate(holding.sequence, user.computed);
    if (!user.sharesPrefix) return;
    const { pageSize } = this.cache;
    const pages = this.cache.pagesOf(holding.sequence);
    while (holding.kept + pageSize <= user.computed) {
      const index = holding.kept / pageSize;
      const node = this.tree.add(holding.node, user.tokens, holding.kept, pages[index]);
      // Two texts computed the same page: one copy is enough.
      if (node.page !== pages[index]) this.cache.replacePage(holding.sequence, index, node.page);
      this.moveTo(holding, node);
    }
  }

  /** Takes the pages back; those that are kept let the same text go on quickly. */
  stop(user: T): void {
    const holding = this.holdings.get(user);
    if (!holding) return;
    this.tree.touch(holding.node);
    this.cache.close(holding.sequence);
    this.holdings.delete(user);
    user.rewind();
  }

  /** No text that comes shares pages of this space any more. */
  forget(space: unknown): void {
    this.tree.forget(space);
  }

  private wanted(user: T): PrefixNode | undefined {
    const { node, kept } = this.holding(user);
    if (kept + this.cache.pageSize >= user.tokens.length) return undefined;
    return this.tree.next(node, user.tokens, kept);
  }

  private moveTo(holding: Holding, node: PrefixNode): void {
    holding.node = node;
    holding.kept += this.cache.pageSize;
  }

  /** Pages that a running text still needs for the tokens that are known. */
  private missing(user: T): number {
    return this.pagesFor(user.computed, user.tokens.length);
  }

  private pagesFor(from: number, to: number): number {
    return this.cache.pagesNeeded(from, to - from);
  }

  private makeRoom(pages: number): boolean {
    const short = pages - this.cache.freePages;
    return short <= 0 || this.tree.evict(short);
  }

  private holding(user: T): Holding {
    return this.holdings.get(user) as Holding;
  }
}
