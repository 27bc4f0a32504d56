import type { NamedParameter } from '../optimizers/optimizer.js';

/**
 * Which rank updates which parameter and keeps its optimizer state (ZeRO stage 1, arXiv:1910.02054, by whole parameters,
 * as Muon needs matrices whole): the largest first, each to the rank that has least.
 */
export class Owners {
  /** By rank, in the order of the parameters. */
  readonly parameters: readonly (readonly NamedParameter[])[];
  private readonly rankOf = new Map<string, number>();

  constructor(parameters: readonly NamedParameter[], ranks: number) {
    const sizes: number[] = new Array(ranks).fill(0);
    const size = ({ parameter }: NamedParameter) => parameter.value.size;
    for (const named of [...parameters].sort((a, b) => size(b) - size(a))) {
      const rank = sizes.indexOf(Math.min(...sizes));
      sizes[rank] += size(named);
      this.rankOf.set(named.path, rank);
    }
    this.parameters = Array.from({ length: ranks }, (_, rank) =>
      parameters.filter(({ path }) => this.rankOf.get(path) === rank),
    );
  }

  /** Whether a tensor of an optimizer (`PATH:slot`, or `GROUP/PATH:slot`) belongs to a parameter of `rank`. */
  ownsSlot(rank: number, name: string): boolean {
    const path = name.slice(name.lastIndexOf('/') + 1, name.lastIndexOf(':'));
    return this.rankOf.get(path) === rank;
  }
}
