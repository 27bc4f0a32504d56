import type { Restructured } from './restructure.js';

/** The path of a module before a stage that removed blocks. */
function before(path: string, renamed: Restructured['renamed']): string {
  return path.replace(/^blocks\.\d+(?=\.|$)/, (block) => renamed[block] ?? block);
}

/** What the modules of a model were called at some time before: blocks move to other paths where others are removed. */
export class FormerPaths {
  private readonly moves: Restructured['renamed'][] = [];

  /** A stage removed blocks. */
  follow(renamed: Restructured['renamed']): void {
    this.moves.push(renamed);
  }

  /** @param path of a module as it is now */
  of(path: string): string {
    return this.moves.reduceRight(before, path);
  }
}
