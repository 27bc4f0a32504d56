import { CompressError, defineMethod, type Edit, type StatsOf } from '@frugal/compress';
import { ArgumentError, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { Buffer, type Module, Parameter } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { type ExpertUse, expertImportance, keptExperts, keptShares } from '../maths/experts.js';
import { expertCount, expertCountOptions, expertSites, planExperts, rowsOf } from './expert-sites.js';

/** What will stay of one layer. */
interface Cut {
  readonly kept: readonly number[];
  /** By domain: the share of what the experts add that stays. */
  readonly shares: ReadonlyMap<string, number | null>;
}

/**
 * Removes whole experts: those that add least to the tokens they get (REAP, Lasby et al. 2025, arXiv:2510.13999). All layers
 * keep the same number; the rows of the router go with the experts. With calibration data of several domains, a cut that
 * takes most of what one of them uses is refused before anything changes. The result is an ordinary model of fewer experts.
 */
export const expertPruning = defineMethod(
  'prune.experts',
  {
    ...expertCountOptions,
    /** What decides: see {@link expertImportance}. */
    importance: z.enum(['reap', 'frequency']).default('reap'),
    /** Of what the experts add for a domain at least this share must stay, on average over the layers; 0 refuses nothing. */
    domainFloor: z.number().min(0).lt(1).default(0.5),
  },
  ({ keep, experts, importance, domainFloor }) => {
    const left = expertCount('prune.experts', { keep, experts });
    const cuts = new Map<string, Cut>();
    return {
      sites: ['experts'],
      needs: { stats: ['salience', 'load', 'domains'] },
      plan: (sites, model) => planExperts(sites, model, left),
      async select(sites, statsOf) {
        for (const { path, coupling } of expertSites(sites)) {
          const use = await useOf(path, statsOf);
          const kept = keptExperts(expertImportance(use, importance), left(coupling), coupling.groups ?? 1);
          const shares = keptShares(use, kept);
          cuts.set(path, { kept, shares: new Map(use.domains.map((name, d) => [name, shares[d]])) });
        }
        refuseLostDomains([...cuts.values()], domainFloor);
        return [...cuts.keys()];
      },
      async apply(site) {
        const [layer] = expertSites([site]);
        const cut = cuts.get(site.path);
        if (!layer || !cut) return { edits: [] };
        const edits: Edit[] = layer.coupling.members.flatMap(({ path }, i) =>
          withoutOthers(path, layer.members[i], cut.kept),
        );
        const measured = [...cut.shares].map(([name, share]) => [`kept of ${name}`, share ?? 0] as const);
        return {
          edits: [...edits, { config: layer.coupling.config(cut.kept.length) }],
          measured: {
            expertsLeft: cut.kept.length,
            kept: cut.kept.join(' '),
            ...Object.fromEntries(measured),
          },
        };
      },
    };
  },
);

async function useOf(path: string, statsOf: StatsOf): Promise<ExpertUse> {
  const { salience, load, domains } = statsOf(path);
  if (!salience || !load || !domains)
    throw new ArgumentError({
      where: 'prune.experts',
      what: `calibration never reached ${path}`,
      hint: 'Calibrate with more text.',
    });
  return { domains, salience: await rowsOf(salience), load: await rowsOf(load) };
}

/** @throws CompressError naming every domain that would lose too much, and what all keep */
function refuseLostDomains(cuts: readonly Cut[], floor: number): void {
  const names = [...(cuts[0]?.shares.keys() ?? [])];
  const shares = names.map((name) => {
    const ofLayers = cuts.flatMap(({ shares }) => shares.get(name) ?? []);
    return { name, share: ofLayers.reduce((sum, share) => sum + share, 0) / ofLayers.length };
  });
  const lost = shares.filter(({ share }) => share < floor);
  if (lost.length === 0) return;
  const percent = ({ name, share }: { name: string; share: number }) =>
    `${name} ${(100 * share).toFixed(1)} %`;
  throw new CompressError({
    where: 'prune.experts',
    what: `the cut would lose ${lost.map(({ name }) => name).join(', ')}: of what experts add for each domain stay`,
    got: shares.map(percent).join(', '),
    expected: `at least ${100 * floor} % of every domain`,
    hint: 'Keep more experts, calibrate with more text of that domain, or lower domainFloor. Nothing was changed.',
  });
}

/** The values of a stack [E, …] or a router (its selection bias too) for the kept experts alone. */
function withoutOthers(path: string, module: Module, kept: readonly number[]): Edit[] {
  const values: Record<string, Tensor> = {};
  for (const [name, member] of module.members())
    if (member instanceof Parameter || member instanceof Buffer) values[name] = first(member.value, kept);
  return [{ path, values }];
}

/** Entries of the first axis. */
function first(value: Tensor, kept: readonly number[]): Tensor {
  const [E, ...rest] = value.shape;
  return scope(() =>
    noGrad(() => {
      const indices = tensor(Int32Array.from(kept), { backend: value.backend });
      return value
        .reshape(E, -1)
        .gatherRows(indices)
        .reshape(kept.length, ...rest);
    }),
  );
}
