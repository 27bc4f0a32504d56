import {
  ArgumentError,
  type Backend,
  bytesPerElement,
  currentBackend,
  FrugalError,
  keep,
  noGrad,
  run,
  sizeOf,
  type Tensor,
  tensor,
  zeros,
} from '../index.js';
import type { CacheDType, CachePart, CacheSpec, CacheView, KVCache, StoredPart } from '../nn/index.js';
import { PagePool } from './page-pool.js';

/** The cache has no free page left: close sequences, or make it larger. */
export class CacheFullError extends FrugalError {}

export interface PagedKVCacheOptions {
  /** How many tokens fit in all. Rounded up to whole pages. */
  readonly tokens: number;
  /** Tokens per page. */
  readonly pageSize?: number;
  /** Default f32. */
  readonly dtype?: CacheDType;
  /** Where steps are made; default: the current one. */
  readonly backend?: Backend;
  /** Where the rows of each layer lie; default, and for layers beyond: `backend`. */
  readonly placement?: readonly Backend[] | undefined;
}

/** Pages that a table has room for at least. */
const LEAST_WIDTH = 16;

/** What a step writes and reads, on one backend. */
interface Indices {
  readonly writeRows: Tensor;
  readonly pageTable: Tensor;
  readonly lengths: Tensor;
}

interface Sequence {
  readonly pages: number[];
  length: number;
}

/**
 * Keys and values of many sequences in fixed-size pages (Kwon et al. 2023, arXiv:2309.06180). Sequences that begin alike
 * can share the pages of their beginning, without a copy.
 */
export class PagedKVCache implements KVCache {
  readonly pageSize: number;
  readonly dtype: CacheDType;
  /** Whoever wants pages to outlive their sequence holds them here. */
  readonly pool: PagePool;
  private readonly home: Backend;
  private readonly places: ReadonlySet<Backend>;
  private readonly parts = new Map<string, StoredPart>();
  private readonly sequences = new Map<number, Sequence>();
  private nextSequence = 0;

  constructor(
    readonly spec: CacheSpec,
    { tokens, pageSize = 16, dtype = 'f32', backend = currentBackend(), placement }: PagedKVCacheOptions,
  ) {
    this.pageSize = pageSize;
    this.dtype = dtype;
    const pages = Math.ceil(tokens / pageSize);
    this.pool = new PagePool(pages);
    this.home = backend;
    this.places = new Set([backend, ...(placement ?? [])]);
    spec.forEach((layer, i) => {
      for (const part of layer.parts) {
        const place = placement?.[i] ?? backend;
        this.parts.set(`${i}.${part.name}`, allocatePart(part, pages * pageSize, dtype, place));
      }
    });
  }

  /** Bytes that one token takes over all layers. */
  static bytesPerToken(spec: CacheSpec, dtype: CacheDType): number {
    const parts = spec.flatMap((layer) => layer.parts);
    return parts.reduce((sum, part) => sum + bytesOf(part, dtype), 0);
  }

  get freePages(): number {
    return this.pool.freePages;
  }

  open(): number {
    this.sequences.set(this.nextSequence, { pages: [], length: 0 });
    return this.nextSequence++;
  }

  length(sequence: number): number {
    return this.find(sequence).length;
  }

  truncate(sequence: number, length: number): void {
    const entry = this.find(sequence);
    if (!(Number.isInteger(length) && length >= 0 && length <= entry.length)) {
      throw new ArgumentError({
        where: 'PagedKVCache.truncate',
        what: 'length out of range',
        got: String(length),
        expected: `0 to ${entry.length}, the tokens of the sequence`,
      });
    }
    entry.length = length;
    const rest = entry.pages.splice(Math.ceil(length / this.pageSize));
    for (const page of rest.reverse()) this.pool.release(page);
  }

  close(sequence: number): void {
    this.truncate(sequence, 0);
    this.sequences.delete(sequence);
  }

  /** The pages of a sequence, in their order. */
  pagesOf(sequence: number): readonly number[] {
    return this.find(sequence).pages;
  }

  /**
   * Continues a sequence with full pages that hold its next tokens already.
   * @throws ArgumentError when its own last page is not full
   */
  share(sequence: number, pages: readonly number[]): void {
    const entry = this.find(sequence);
    if (entry.length % this.pageSize !== 0) {
      throw new ArgumentError({
        where: 'PagedKVCache.share',
        what: 'the last page of the sequence is not full',
        got: `${entry.length} tokens`,
        expected: `a multiple of ${this.pageSize}`,
      });
    }
    for (const page of pages) this.pool.retain(page);
    entry.pages.push(...pages);
    entry.length += pages.length * this.pageSize;
  }

  /** Lets a sequence read another page with the same contents, and gives its own one back. */
  replacePage(sequence: number, index: number, page: number): void {
    const { pages } = this.find(sequence);
    this.pool.retain(page);
    this.pool.release(pages[index]);
    pages[index] = page;
  }

  /** Pages that must be free before `extend` can add `count` tokens to a sequence of `length` tokens. */
  pagesNeeded(length: number, count: number): number {
    return Math.ceil((length + count) / this.pageSize) - Math.ceil(length / this.pageSize);
  }

  /** @throws CacheFullError or ArgumentError, and then nothing has changed */
  extend(ids: readonly number[], counts: readonly number[]): CacheView {
    requireCounts(ids, counts);
    const entries = ids.map((id) => this.find(id));
    const needed = entries.reduce((sum, { length }, i) => sum + this.pagesNeeded(length, counts[i]), 0);
    if (needed > this.freePages) {
      throw new CacheFullError({
        where: 'PagedKVCache',
        what: 'no free pages',
        got: `${needed} pages needed`,
        expected: `at most ${this.freePages} free ones of ${this.pageSize} tokens`,
        hint: 'Close sequences, or make the cache larger.',
      });
    }
    for (const entry of entries) this.requireOwnPage(entry);
    const rows: number[] = [];
    entries.forEach((entry, i) => {
      for (let missing = this.pagesNeeded(entry.length, counts[i]); missing > 0; missing--)
        entry.pages.push(this.pool.take());
      for (let position = entry.length; position < entry.length + counts[i]; position++)
        rows.push(this.row(entry, position));
      entry.length += counts[i];
    });
    return this.view(entries, rows);
  }

  dispose(): void {
    for (const { entries, scales } of this.parts.values()) {
      entries.dispose();
      scales?.dispose();
    }
    this.parts.clear();
    this.sequences.clear();
  }

  private view(entries: readonly Sequence[], rows: readonly number[]): CacheView {
    // A power of two, and not the smallest ones: few shapes, so that few steps must be recorded. Kernels read what `lengths` says.
    const most = Math.max(LEAST_WIDTH, ...entries.map(({ pages }) => pages.length));
    const width = 2 ** Math.ceil(Math.log2(most));
    const table = entries.flatMap(({ pages }) => [
      ...pages,
      ...new Array<number>(width - pages.length).fill(0),
    ]);
    const indicesOn = (backend: Backend): Indices => ({
      writeRows: tensor(Int32Array.from(rows), { backend }),
      pageTable: tensor(Int32Array.from(table), { shape: [entries.length, width], backend }),
      lengths: tensor(
        Int32Array.from(entries, ({ length }) => length),
        { backend },
      ),
    });
    const indices = new Map([...this.places].map((backend) => [backend, indicesOn(backend)]));
    const home = indices.get(this.home) as Indices;
    const part = (layer: number, name: string) => this.parts.get(`${layer}.${name}`) as StoredPart;
    const near = (layer: number) => {
      const [{ name }] = this.spec[layer].parts;
      return indices.get(part(layer, name).entries.backend) ?? home;
    };
    return {
      pageSize: this.pageSize,
      pageTable: (layer) => near(layer).pageTable,
      lengths: (layer) => near(layer).lengths,
      inputs: [home.writeRows, home.pageTable, home.lengths],
      part,
      write: (layer, name, values) => {
        writeEntries(part(layer, name), near(layer).writeRows, values);
      },
    };
  }

  /** A page that is not full is written to next, so it must belong to one sequence alone. */
  private requireOwnPage({ pages, length }: Sequence): void {
    if (length % this.pageSize === 0 || !this.pool.isShared(pages[pages.length - 1])) return;
    throw new ArgumentError({
      where: 'PagedKVCache.extend',
      what: 'others read the page that would be written to',
      got: `a sequence cut to ${length} tokens`,
      expected: `a multiple of ${this.pageSize}: sequences share whole pages`,
    });
  }

  private row({ pages }: Sequence, position: number): number {
    return pages[Math.floor(position / this.pageSize)] * this.pageSize + (position % this.pageSize);
  }

  private find(id: number): Sequence {
    const entry = this.sequences.get(id);
    if (entry) return entry;
    throw new ArgumentError({ where: 'PagedKVCache', what: 'no such open sequence', got: String(id) });
  }
}

function allocatePart(part: CachePart, rows: number, cacheDType: CacheDType, backend: Backend): StoredPart {
  const dtype = part.dtype ?? cacheDType;
  const shape = [rows, ...part.shape];
  if (dtype !== 'q8') return { entries: keep(zeros(shape, { dtype, backend })) };
  return {
    entries: keep(zeros(shape, { dtype: 'i8', backend })),
    scales: keep(zeros(shape.slice(0, -1), { backend })),
  };
}

function bytesOf({ shape, dtype }: CachePart, cacheDType: CacheDType): number {
  const kind = dtype ?? cacheDType;
  if (kind === 'q8') return sizeOf(shape) + bytesPerElement('f32') * sizeOf(shape.slice(0, -1));
  return sizeOf(shape) * bytesPerElement(kind);
}

function writeEntries({ entries, scales }: StoredPart, rows: Tensor, values: Tensor): void {
  noGrad(() => {
    if (scales) run('writeQuantizedRows', [entries, scales, rows, values], {});
    else entries.writeRows(rows, values);
  });
}

function requireCounts(ids: readonly number[], counts: readonly number[]): void {
  const valid = counts.every((count) => Number.isInteger(count) && count > 0);
  if (valid && ids.length > 0 && ids.length === counts.length && new Set(ids).size === ids.length) return;
  throw new ArgumentError({
    where: 'PagedKVCache.extend',
    what: 'needs distinct sequences and how many tokens each gets',
    got: `sequences ${ids.join(', ')} and counts ${counts.join(', ')}`,
    expected: 'one count of at least 1 per sequence',
  });
}
