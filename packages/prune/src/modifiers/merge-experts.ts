import { defineMethod, type Edit, type StatsOf } from '@frugal/compress';
import { type ExpertWeights, mergeExperts, mergeGroups, mergeShares } from '@frugal/moe';
import { ArgumentError, type Tensor, tensor } from '@frugal/tensor-core';
import { Buffer, type Module, type Parameter } from '@frugal/tensor-core/nn';
import {
  type ExpertSite,
  expertCount,
  expertCountOptions,
  expertSites,
  planExperts,
  rowsOf,
} from './expert-sites.js';

interface Merge {
  readonly groups: readonly (readonly number[])[];
  /** Rows that each expert got. */
  readonly usage: readonly number[];
}

/**
 * Experts that the router gives alike scores to become one: the mean of them by use, their neurons matched first, and so their
 * rows of the router (M-SMoE, Li et al. 2023, arXiv:2310.01334). All layers keep the same number. The result is an ordinary
 * model of fewer experts. Where tokens choose groups of experts first, each group keeps as many, and none is merged across.
 */
export const expertMerging = defineMethod('moe.merge', expertCountOptions, (options) => {
  const left = expertCount('moe.merge', options);
  const merges = new Map<string, Merge>();
  return {
    sites: ['experts'],
    needs: { stats: ['load', 'scoreGram'] },
    plan: (sites, model) => planExperts(sites, model, left),
    async select(sites, statsOf) {
      for (const site of expertSites(sites)) merges.set(site.path, await mergeOf(site, left, statsOf));
      return [...merges.keys()];
    },
    async apply(site) {
      const [layer] = expertSites([site]);
      const merge = merges.get(site.path);
      if (!layer || !merge) return { edits: [] };
      const { groups } = merge;
      return {
        edits: [...(await mergedEdits(layer, merge)), { config: layer.coupling.config(groups.length) }],
        measured: {
          expertsLeft: groups.length,
          merged: groups
            .filter(({ length }) => length > 1)
            .map((group) => group.join('+'))
            .join(' '),
        },
      };
    },
  };
});

async function mergeOf(
  { path, coupling }: ExpertSite,
  left: ReturnType<typeof expertCount>,
  statsOf: StatsOf,
) {
  const { load, scoreGram } = statsOf(path);
  if (!load || !scoreGram)
    throw new ArgumentError({
      where: 'moe.merge',
      what: `calibration never reached ${path}`,
      hint: 'Calibrate with more text.',
    });
  const [loads, gram] = [await rowsOf(load), await rowsOf(scoreGram)];
  const usage = loads[0].map((_, e) => loads.reduce((sum, row) => sum + row[e], 0));
  return { groups: mergedWithin(coupling.groups ?? 1, cosines(gram), left(coupling)), usage };
}

/** Experts that become one, in each of the groups that the router chooses among: the same number in each. */
function mergedWithin(
  routingGroups: number,
  alike: readonly (readonly number[])[],
  left: number,
): number[][] {
  const size = alike.length / routingGroups;
  return Array.from({ length: routingGroups }, (_, g) => {
    const [first, end] = [g * size, (g + 1) * size];
    const own = alike.slice(first, end).map((row) => row.slice(first, end));
    return mergeGroups(own, left / routingGroups).map((group) => group.map((e) => first + e));
  }).flat();
}

/** The cosine between what the router gives two experts, over all tokens. */
function cosines(gram: readonly (readonly number[])[]): number[][] {
  return gram.map((row, i) => row.map((value, j) => value / Math.sqrt(gram[i][i] * gram[j][j] || 1)));
}

async function mergedEdits({ coupling, members }: ExpertSite, { groups, usage }: Merge): Promise<Edit[]> {
  const [router, gate, up, down] = members.map(
    (member) => (member as Module & { weight: Parameter }).weight.value,
  );
  const merged = await mergeExperts({ router, gate, up, down } satisfies ExpertWeights, groups, usage);
  const weights = [merged.router, merged.gate, merged.up, merged.down];
  return Promise.all(
    coupling.members.map(async ({ path }, i) => ({
      path,
      values: { weight: weights[i], ...(await mergedBuffers(members[i], groups, usage)) },
    })),
  );
}

/** The bias by which a router chooses, averaged as the rows of the router are. */
async function mergedBuffers(
  module: Module,
  groups: Merge['groups'],
  usage: readonly number[],
): Promise<Record<string, Tensor>> {
  const values: Record<string, Tensor> = {};
  const shares = mergeShares(groups, usage);
  for (const [name, member] of module.members()) {
    if (!(member instanceof Buffer)) continue;
    const own = await member.value.toFloat32();
    const means = groups.map((group, g) => group.reduce((sum, e, i) => sum + shares[g][i] * own[e], 0));
    values[name] = tensor(Float32Array.from(means), { backend: member.value.backend });
  }
  return values;
}
