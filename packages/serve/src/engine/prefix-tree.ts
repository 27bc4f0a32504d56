import type { PagePool } from '@frugal/tensor-core/generation';

/** A full page of keys and values, which means something only after all pages above it. */
export interface PrefixNode {
  readonly id: number;
  /** null: the root, or no longer in the tree. */
  parent: PrefixNode | null;
  /** Tokens of the page, as text: its name among its siblings. */
  readonly key: string;
  /** The root has none. */
  readonly page: number;
  readonly children: Map<string, PrefixNode>;
}

/**
 * What is left of earlier texts, for texts that begin alike: a radix tree whose edges are full pages (Zheng et al. 2023,
 * arXiv:2312.07104, section 3). The tree is one holder of each of its pages; a page that nobody else holds can be evicted,
 * those used longest ago first.
 */
export class PrefixTree {
  private readonly roots = new Map<unknown, PrefixNode>();
  /** Pages by last use. A page is used with all pages above it, just before them: nothing below the first one is left. */
  private readonly byUse = new Set<PrefixNode>();
  private nextId = 0;

  constructor(
    private readonly pool: PagePool,
    private readonly pageSize: number,
  ) {}

  /** Pages in the tree. */
  get size(): number {
    return this.byUse.size;
  }

  /** Pages that only the tree holds. */
  get idle(): number {
    let count = 0;
    for (const { page } of this.byUse) if (!this.pool.isShared(page)) count++;
    return count;
  }

  /** Where texts begin whose pages mean the same: those computed with one adapter. */
  root(space: unknown): PrefixNode {
    const root = this.roots.get(space) ?? this.node(null, '', -1);
    this.roots.set(space, root);
    return root;
  }

  /** The page that continues `node` with the `pageSize` tokens from `start` on. */
  next(node: PrefixNode, tokens: ArrayLike<number>, start: number): PrefixNode | undefined {
    return node.children.get(this.keyOf(tokens, start));
  }

  /** The pages that a text of these tokens can begin with: the longest match, at most `limit` tokens. */
  match(root: PrefixNode, tokens: ArrayLike<number>, limit: number): readonly PrefixNode[] {
    const path: PrefixNode[] = [];
    for (let start = 0; start + this.pageSize <= limit; start += this.pageSize) {
      const node = this.next(path.at(-1) ?? root, tokens, start);
      if (!node) break;
      path.push(node);
    }
    return path;
  }

  /** Keeps `page`, which holds the tokens from `start` on. Where the tree has such a page already, that one stays. */
  add(parent: PrefixNode, tokens: ArrayLike<number>, start: number, page: number): PrefixNode {
    const known = this.next(parent, tokens, start);
    if (known) return known;
    const node = this.node(parent, this.keyOf(tokens, start), page);
    this.pool.retain(page);
    parent.children.set(node.key, node);
    this.touch(node);
    return node;
  }

  /** Marks a page, and those above it, as used last. */
  touch(node: PrefixNode): void {
    for (let each: PrefixNode | null = node; each?.parent; each = each.parent) {
      this.byUse.delete(each);
      this.byUse.add(each);
    }
  }

  /** Gives `count` pages back to the pool, if that many are idle; else none. */
  evict(count: number): boolean {
    const chosen: PrefixNode[] = [];
    for (const node of this.byUse) {
      if (chosen.length === count) break;
      if (!this.pool.isShared(node.page)) chosen.push(node);
    }
    if (chosen.length < count) return false;
    for (const node of chosen) this.drop(node);
    return true;
  }

  /** Forgets all pages of a space: its adapter is gone. Pages that running texts hold stay theirs. */
  forget(space: unknown): void {
    const root = this.roots.get(space);
    this.roots.delete(space);
    const below = (node: PrefixNode): void => {
      for (const child of [...node.children.values()]) below(child);
      if (node.parent) this.drop(node);
    };
    if (root) below(root);
  }

  private drop(node: PrefixNode): void {
    node.parent?.children.delete(node.key);
    node.parent = null;
    this.byUse.delete(node);
    this.pool.release(node.page);
  }

  private node(parent: PrefixNode | null, key: string, page: number): PrefixNode {
    return { id: this.nextId++, parent, key, page, children: new Map() };
  }

  private keyOf(tokens: ArrayLike<number>, start: number): string {
    let key = '';
    for (let i = start; i < start + this.pageSize; i++) key += `${tokens[i]},`;
    return key;
  }
}
