import { mostImportant } from './units.js';

/** What calibration showed of the experts of a layer, by domain: [D][E]. */
export interface ExpertUse {
  readonly domains: readonly string[];
  /** Σ over the rows that reach an expert of weight · ‖output‖. */
  readonly salience: readonly (readonly number[])[];
  /** Rows that reach an expert. */
  readonly load: readonly (readonly number[])[];
}

/**
 * How much each expert matters: `reap`, the mean of weight · ‖output‖ over the rows that reach it (Lasby et al. 2025,
 * arXiv:2510.13999), or `frequency`, the rows themselves. Experts that no row reaches have 0.
 */
export function expertImportance({ salience, load }: ExpertUse, kind: 'reap' | 'frequency'): number[] {
  const total = (of: readonly (readonly number[])[], e: number) => of.reduce((sum, row) => sum + row[e], 0);
  return (load[0] ?? []).map((_, e) => {
    const rows = total(load, e);
    if (kind === 'frequency') return rows;
    return rows > 0 ? total(salience, e) / rows : 0;
  });
}

/** The `count` most important experts, as many of each group; of equals the first. */
export function keptExperts(importance: readonly number[], count: number, groups: number): number[] {
  const size = importance.length / groups;
  return Array.from({ length: groups }, (_, g) =>
    mostImportant(importance.slice(g * size, (g + 1) * size), count / groups).map((e) => g * size + e),
  ).flat();
}

/** For each domain: the share of what the experts of the layer add that the kept ones add; null where they add nothing. */
export function keptShares({ salience }: ExpertUse, kept: readonly number[]): (number | null)[] {
  return salience.map((row) => {
    const all = row.reduce((sum, value) => sum + value, 0);
    return all > 0 ? kept.reduce((sum, e) => sum + row[e], 0) / all : null;
  });
}
