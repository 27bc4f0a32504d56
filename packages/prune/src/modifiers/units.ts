import {
  defineMethod,
  type Edit,
  type ModifierFactory,
  readWeight,
  type Site,
  type StatsOf,
} from '@frugal/compress';
import { ArgumentError } from '@frugal/tensor-core';
import type { Coupling, LinearLike } from '@frugal/tensor-core/nn';
import { isLinearLike, Linear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { mostImportant, unitImportance } from '../maths/units.js';
import { cut } from './cut.js';

type UnitSite = Extract<Site, { coupling: Coupling }>;

/** Removes neurons of gated MLPs: rows of gate and up, columns of down. All layers keep the same number. */
export const neuronPruning = unitPruning('prune.ffn', 'ffn');

/** Removes key heads with their query heads. All layers keep the same number. */
export const headPruning = unitPruning('prune.heads', 'attention');

/**
 * Structured pruning of one kind of coupling: the units that add least to the output are cut out of every member, and
 * the config says how many are left. The result is an ordinary, narrower model.
 */
function unitPruning(type: string, kind: 'ffn' | 'attention'): ModifierFactory {
  const options = {
    /** Share of the units that stays. */
    keep: z.number().gt(0).lt(1),
    /** The number of units left is rounded to a multiple of this, so that packed formats fit. */
    multipleOf: z.number().int().positive().default(1),
  };
  return defineMethod(type, options, ({ keep, multipleOf }) => {
    const unitsLeft = (units: number) =>
      Math.max(multipleOf, Math.round((units * keep) / multipleOf) * multipleOf);
    return {
      sites: [kind],
      needs: { stats: ['squares'] },
      plan: (sites) => ({
        sites: unitSites(sites).map(({ path, members, coupling }) => {
          const bytesBefore = members.reduce(
            (sum, member) => sum + (isLinearLike(member) ? member.weightBytes : 0),
            0,
          );
          return {
            path,
            bytesBefore,
            bytesAfter: (bytesBefore * unitsLeft(coupling.units)) / coupling.units,
          };
        }),
        problems: unitSites(sites).flatMap((site) => problemsOf(site, unitsLeft(site.coupling.units))),
      }),
      async apply(site, statsOf) {
        const [own] = unitSites([site]);
        if (!own) return { edits: [] };
        const { coupling } = own;
        const importance = await importanceOf(own, statsOf);
        const kept = mostImportant(importance, unitsLeft(coupling.units));
        const all = importance.reduce((sum, value) => sum + value, 0);
        const lost = 1 - kept.reduce((sum, unit) => sum + importance[unit], 0) / all;
        const edits: Edit[] = coupling.members.flatMap((member, i) => cut(member, own.members[i], kept));
        return {
          edits: [...edits, { config: coupling.config(kept.length) }],
          measured: { unitsLeft: kept.length, lost },
        };
      },
    };
  });
}

function unitSites(sites: readonly Site[]): UnitSite[] {
  return sites.filter((site) => 'coupling' in site);
}

function problemsOf({ path, members, coupling }: UnitSite, left: number): string[] {
  const problems: string[] = [];
  if (left >= coupling.units) problems.push(`${path}: ${left} of ${coupling.units} units would stay`);
  if (members.some((member) => !(member instanceof Linear)))
    problems.push(`${path} has layers that are not dense: prune before quantising`);
  return problems;
}

/** By the layer that reads the units: the member that is cut by columns. */
async function importanceOf({ path, coupling, members }: UnitSite, statsOf: StatsOf): Promise<Float64Array> {
  const reader = coupling.members.findIndex(({ axis }) => axis === 'columns');
  const squares = reader < 0 ? undefined : statsOf(coupling.members[reader].path).squares;
  if (!squares) {
    throw new ArgumentError({
      where: 'prune',
      what: `calibration never reached ${path}`,
      hint: 'Calibrate with more text.',
    });
  }
  const { path: readerPath, entriesPerUnit: columnsPerUnit } = coupling.members[reader];
  const weight = await readWeight(members[reader] as LinearLike, readerPath);
  return unitImportance(weight, await squares.toFloat32(), { units: coupling.units, columnsPerUnit });
}
