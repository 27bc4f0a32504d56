/** Who holds which page: a page that several sequences read is given back when the last of them lets go. */
export class PagePool {
  private readonly holders: Uint32Array;
  private readonly free: number[];

  constructor(readonly size: number) {
    this.holders = new Uint32Array(size);
    // The last page goes out first, so the first sequence gets page 0, 1, …
    this.free = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  get freePages(): number {
    return this.free.length;
  }

  /** A free page, with one holder. Ask `freePages` before. */
  take(): number {
    const page = this.free.pop() as number;
    this.holders[page] = 1;
    return page;
  }

  /** One more holder of a page that has one already. */
  retain(page: number): void {
    this.holders[page]++;
  }

  release(page: number): void {
    if (--this.holders[page] === 0) this.free.push(page);
  }

  /** Whether more than one holder reads it: nobody may write to it then. */
  isShared(page: number): boolean {
    return this.holders[page] > 1;
  }
}
