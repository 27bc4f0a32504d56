import {
  type Modifier,
  RecipeError,
  type Site,
  type StatName,
  type Stats,
  type StatsOf,
} from '@frugal/compress';
import { tensor } from '@frugal/tensor-core';
import { type LinearLike, type Module, PackedLinear } from '@frugal/tensor-core/nn';

export type NormGroupSite = Extract<Site, { kind: 'norm-group' }>;

/** A norm whose output can be scaled by channel. */
type ScalableNorm = Module & { scaleOutput(factors: ReturnType<typeof tensor>): void };

/** The parts of a modifier that all methods share which move scales from a norm into the layers behind it. */
export function normGroupMethod(
  type: string,
  stats: readonly StatName[],
  scalesOf: (
    site: NormGroupSite,
    stats: Stats,
  ) => Promise<{ readonly scales: Float32Array; readonly measured: Readonly<Record<string, number>> }>,
): Omit<Modifier, 'spec'> {
  return {
    sites: ['norm-group'],
    needs: { stats },
    plan: (sites) => ({
      sites: normGroups(sites).map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
      problems: normGroups(sites).flatMap((site) => problemsOf(site)),
    }),
    async apply(site, statsOf) {
      const [group] = normGroups([site]);
      if (!group) return { edits: [] };
      const { scales, measured } = await scalesOf(group, inputStats(type, group, statsOf));
      moveScales(group, scales);
      return { edits: [], measured };
    },
  };
}

function normGroups(sites: readonly Site[]): NormGroupSite[] {
  return sites.filter((site) => site.kind === 'norm-group');
}

function problemsOf({ path, norm, consumers }: NormGroupSite): string[] {
  const problems: string[] = [];
  if (!('scaleOutput' in norm)) problems.push(`${path} is no norm whose output can be scaled`);
  if (consumers.some(({ base }) => base instanceof PackedLinear))
    problems.push(`${path} feeds layers that are packed already: move scales before quantising`);
  return problems;
}

/** All consumers read the same tensor: what is known of the first holds for all. */
function inputStats(type: string, { path, consumerPaths }: NormGroupSite, statsOf: StatsOf): Stats {
  const stats = statsOf(consumerPaths[0]);
  if (Object.keys(stats).length > 0) return stats;
  throw new RecipeError({
    where: type,
    what: `calibration never reached the layers behind ${path}`,
    hint: 'Calibrate with more text, or exclude the norm.',
  });
}

/** Divides the norm's output by the scales and multiplies the columns that read it: the product stays the same. */
function moveScales({ norm, consumers }: NormGroupSite, scales: Float32Array): void {
  const [first] = consumers as readonly [LinearLike & { weight?: { value: { backend: never } } }];
  const backend = first.weight?.value.backend;
  const columns = tensor(scales, { backend });
  const rows = tensor(
    scales.map((scale) => 1 / scale),
    { backend },
  );
  (norm as ScalableNorm).scaleOutput(rows);
  for (const consumer of consumers) consumer.scaleColumns(columns);
  columns.dispose();
  rows.dispose();
}
