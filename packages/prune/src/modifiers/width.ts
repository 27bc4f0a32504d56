import { defineMethod, type Edit, type Site, type StatsOf } from '@frugal/compress';
import { ArgumentError, noGrad, scope } from '@frugal/tensor-core';
import { Embedding, isLinearLike, LayerNorm, Linear, type Module, RMSNorm } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { mostImportant } from '../maths/units.js';
import { cut } from './cut.js';

type ResidualSite = Extract<Site, { kind: 'residual' }>;

/**
 * Removes channels of the residual stream everywhere: columns of what reads it, rows of what writes it, entries of the norms.
 * Those go whose normalised activations are smallest over all layers that read them (Minitron, Muralidharan et al. 2024,
 * arXiv:2407.14679). The result is an ordinary model of a smaller hidden size; it needs training afterwards.
 */
export const widthPruning = defineMethod(
  'prune.width',
  {
    /** Share of the channels that stays. */
    keep: z.number().gt(0).lt(1),
    /** The number of channels left is rounded to a multiple of this, so that packed formats fit. */
    multipleOf: z.number().int().positive().default(1),
  },
  ({ keep, multipleOf }) => {
    const left = (units: number) =>
      Math.max(multipleOf, Math.round((units * keep) / multipleOf) * multipleOf);
    const kept = new Map<string, readonly number[]>();
    return {
      sites: ['residual'],
      needs: { stats: ['squares', 'count'] },
      plan(sites) {
        const streams = residualSites(sites);
        const problems = streams.flatMap((site) => problemsOf(site, left(site.coupling.units)));
        return {
          sites: streams.map((site) => ({ path: site.path, ...bytesOf(site, left(site.coupling.units)) })),
          problems,
        };
      },
      async select(sites, statsOf) {
        for (const { path, coupling } of residualSites(sites)) {
          const importance = await channelImportance(coupling, statsOf);
          kept.set(path, mostImportant(importance, left(coupling.units)));
        }
        return [...kept.keys()];
      },
      async apply(site) {
        const [stream] = residualSites([site]);
        const channels = kept.get(site.path);
        if (!stream || !channels) return { edits: [] };
        const { coupling, members } = stream;
        const narrower = (channels.length / coupling.units) ** 0.5;
        const edits: Edit[] = coupling.members.flatMap((member, i) =>
          cut(member, members[i], channels).map((edit) => rescaled(edit, members[i], narrower)),
        );
        return {
          edits: [...edits, { config: coupling.config(channels.length) }],
          measured: { unitsLeft: channels.length },
        };
      },
    };
  },
);

function residualSites(sites: readonly Site[]): ResidualSite[] {
  return sites.filter((site) => site.kind === 'residual');
}

function problemsOf({ path, members, coupling }: ResidualSite, left: number): string[] {
  const problems: string[] = [];
  if (left >= coupling.units) problems.push(`${path}: ${left} of ${coupling.units} channels would stay`);
  const odd = coupling.members.filter((_, i) => !isCuttable(members[i]));
  if (odd.length > 0) problems.push(`${odd[0].path} cannot be narrowed: prune before quantising`);
  return problems;
}

function isCuttable(module: Module): boolean {
  return [Linear, Embedding, RMSNorm, LayerNorm].some((kind) => module instanceof kind);
}

function bytesOf({ members, coupling }: ResidualSite, left: number) {
  const bytesBefore = members.reduce(
    (sum, member) => sum + (isLinearLike(member) ? member.weightBytes : 0),
    0,
  );
  return { bytesBefore, bytesAfter: (bytesBefore * left) / coupling.units };
}

/**
 * The mean square of fewer channels is larger by the share of those that went, if these were small: the factors of RMS norms
 * make up for it, so that a channel that was always zero goes without a trace.
 */
function rescaled(edit: Edit, norm: Module, narrower: number): Edit {
  if (!(norm instanceof RMSNorm) || !('values' in edit)) return edit;
  const { offset } = norm;
  const { weight } = edit.values;
  const scaled = scope(() =>
    noGrad(() => weight.cast('f32').add(offset).div(narrower).sub(offset).cast(weight.dtype)),
  );
  weight.dispose();
  return { ...edit, values: { ...edit.values, weight: scaled } };
}

/** Mean square of each channel after the norms, over all layers that read the stream. */
async function channelImportance(
  coupling: ResidualSite['coupling'],
  statsOf: StatsOf,
): Promise<Float64Array> {
  const importance = new Float64Array(coupling.units);
  let readers = 0;
  for (const { path, axis } of coupling.members) {
    const { squares, count = 0 } = statsOf(path);
    if (axis !== 'columns' || !squares || count === 0) continue;
    readers++;
    for (const [c, sum] of (await squares.toFloat32()).entries()) importance[c] += sum / count;
  }
  if (readers > 0) return importance;
  throw new ArgumentError({
    where: 'prune.width',
    what: 'calibration never reached a layer',
    hint: 'Calibrate with more text.',
  });
}
