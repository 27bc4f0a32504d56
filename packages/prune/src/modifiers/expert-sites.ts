import type { Plan, Site } from '@frugal/compress';
import { ArgumentError, type Tensor } from '@frugal/tensor-core';
import { isLinearLike, type Model, type Module, Parameter } from '@frugal/tensor-core/nn';
import { z } from 'zod';

export type ExpertSite = Extract<Site, { kind: 'experts' }>;

/** How many experts are left in each layer, by number of those that there are. */
export type ExpertCount = (coupling: ExpertSite['coupling']) => number;

/** The options of methods that leave fewer experts. */
export const expertCountOptions = {
  /** Share of the experts that stays. */
  keep: z.number().gt(0).lt(1).optional(),
  /** Or how many stay in each layer. */
  experts: z.number().int().positive().optional(),
};

/** @throws ArgumentError unless exactly one of the options is there */
export function expertCount(
  where: string,
  { keep, experts }: { readonly keep?: number | undefined; readonly experts?: number | undefined },
): ExpertCount {
  if ((keep === undefined) === (experts === undefined))
    throw new ArgumentError({ where, what: 'needs one of keep and experts' });
  return ({ units, groups = 1 }) =>
    experts ?? Math.max(groups, Math.round((units * (keep as number)) / groups) * groups);
}

/** The plan of a method that leaves fewer experts in all layers. */
export function planExperts(sites: readonly Site[], model: Model, left: ExpertCount): Plan {
  const layers = expertSites(sites);
  const problems = layers.flatMap((site) => problemsOf(site, left(site.coupling)));
  const missed = missedLayers(layers, model);
  if (missed.length > 0)
    problems.push(`the targets leave out ${missed.join(', ')}: the config has one number of experts for all`);
  return {
    sites: layers.map((site) => {
      const bytesBefore = bytesOf(site);
      const { units } = site.coupling;
      return { path: site.path, bytesBefore, bytesAfter: (bytesBefore * left(site.coupling)) / units };
    }),
    problems,
  };
}

/** The layers of experts among sites. */
export function expertSites(sites: readonly Site[]): ExpertSite[] {
  return sites.filter((site) => site.kind === 'experts');
}

function missedLayers(layers: readonly ExpertSite[], model: Model): string[] {
  const targeted = new Set(layers.map(({ path }) => path));
  const all = model.couplings().filter(({ kind }) => kind === 'experts');
  return all.map(({ path }) => path).filter((path) => layers.length > 0 && !targeted.has(path));
}

function problemsOf({ path, members, coupling }: ExpertSite, left: number): string[] {
  const { units, least = 1, groups = 1 } = coupling;
  const problems: string[] = [];
  if (left >= units) problems.push(`${path}: ${left} of ${units} experts would stay`);
  if (left < least) problems.push(`${path}: ${left} experts would stay, and a token needs at least ${least}`);
  if (left % groups !== 0)
    problems.push(`${path}: ${left} experts cannot be shared evenly among ${groups} groups`);
  if (members.some(hasOwnExperts))
    problems.push(`${path} has experts that are changed already: prune them before all else`);
  return problems;
}

/** Whether an expert is no longer a part of its stack: packed, masked or adapted. */
function hasOwnExperts(stack: Module): boolean {
  return [...stack.members()].some(
    ([, member]) => isLinearLike(member as Module) && [...(member as Module).members()].length > 0,
  );
}

function bytesOf({ members }: ExpertSite): number {
  const stacks = members.flatMap((member) => [...member.members()]);
  return stacks.reduce(
    (sum, [, member]) => sum + (member instanceof Parameter ? member.value.byteLength : 0),
    0,
  );
}

/** The rows of a matrix. */
export async function rowsOf(matrix: Tensor): Promise<number[][]> {
  const [rows, columns] = matrix.shape;
  const values = await matrix.toFloat32();
  return Array.from({ length: rows }, (_, r) => [...values.subarray(r * columns, (r + 1) * columns)]);
}
