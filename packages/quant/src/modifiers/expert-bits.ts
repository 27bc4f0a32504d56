import {
  defineMethod,
  Knapsack,
  type LinearSite,
  linearSites,
  type PlannedSite,
  type PricedChoice,
  RecipeError,
  readWeight,
  type Site,
  type StatsOf,
} from '@frugal/compress';
import { PackedTensor, referenceBackend } from '@frugal/tensor-core';
import { packedByteLength } from '@frugal/tensor-core/formats';
import { PackedLinear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { columnErrorShare } from '../maths/column-error.js';
import { planPacking } from './packing.js';
import { roundingOptions, roundLayer } from './rounding.js';

/** The matrices of one expert. */
interface Expert {
  /** Of the experts of its layer: where calibration says how much each is used. */
  readonly layer: string;
  readonly index: number;
  readonly sites: readonly LinearSite[];
}

const EXPERT = /^(.+\.experts)\.(?:gate|up|down)\.sites\.(\d+)$/;

/**
 * Rounds each expert to one of several formats, so that all together take a given number of bits per weight: experts that add
 * much to the tokens that they get, and suffer much from rounding, get more (Huang et al. 2024, arXiv:2410.06270, with the
 * sum of weight · ‖output‖ for their frequency and mean weight). Which expert gets what is the best choice, by dynamic programming.
 * Of its targets only experts are touched.
 */
export const expertBits = defineMethod(
  'quant.experts',
  {
    /** Packed formats to choose from, see `@frugal/tensor-core/formats`. */
    formats: z.array(z.string()).min(2).max(255),
    /** Bits per weight that experts take on average, scales included. */
    bits: z.number().positive(),
    activation: roundingOptions.activation,
  },
  ({ formats, bits, activation }) => {
    const chosen = new Map<string, string>();
    return {
      sites: ['linear'],
      needs: { stats: ['squares', 'salience', 'load'] },
      plan(sites) {
        const experts = expertsOf(sites);
        const problems = experts.length === 0 ? ['among the targets are no experts'] : [];
        const planned = experts.flatMap(({ sites: own }) =>
          own.map((site) => plannedSite(site, formats, activation, problems)),
        );
        if (problems.length === 0) problems.push(...budgetProblem(experts, formats, bits));
        const budget = budgetOf(experts, bits);
        const largest = planned.reduce((sum, { bytesAfter }) => sum + bytesAfter, 0);
        const share = Math.min(1, budget / largest);
        return {
          sites: planned.map((site) => ({ ...site, bytesAfter: site.bytesAfter * share })),
          problems,
        };
      },
      async select(sites, statsOf) {
        const experts = expertsOf(sites);
        const units: PricedChoice[][] = [];
        for (const expert of experts) units.push(await choicesOf(expert, formats, statsOf));
        const { picks } = new Knapsack(units).within(budgetOf(experts, bits)) ?? {};
        if (!picks) throw new RecipeError({ where: 'quant.experts', ...tooSmall(experts, formats, bits) });
        for (const [i, expert] of experts.entries())
          for (const { path } of expert.sites) chosen.set(path, formats[picks[i]]);
        return [...chosen.keys()];
      },
      async apply(site) {
        const format = chosen.get(site.path);
        if (site.kind !== 'linear' || format === undefined) return { edits: [] };
        return {
          edits: await roundLayer('quant.experts', site, { format, activation }),
          measured: { format },
        };
      },
      async invariant(site) {
        const format = chosen.get(site.path);
        if (site.kind !== 'linear' || format === undefined) return null;
        const { base } = site.layer;
        const isSame = base instanceof PackedLinear && base.weight.format === format;
        return isSame ? null : 'the expert is no longer packed as it was';
      },
    };
  },
);

function expertsOf(sites: readonly Site[]): Expert[] {
  const experts = new Map<string, Expert & { sites: LinearSite[] }>();
  for (const site of linearSites(sites)) {
    const [, layer, index] = EXPERT.exec(site.path) ?? [];
    if (!layer) continue;
    const key = `${layer}.${index}`;
    const expert = experts.get(key) ?? { layer, index: Number(index), sites: [] };
    expert.sites.push(site);
    experts.set(key, expert);
  }
  return [...experts.values()];
}

/** With the bytes of the largest format. */
function plannedSite(
  site: LinearSite,
  formats: readonly string[],
  activation: Parameters<typeof planPacking>[2],
  problems: string[],
): PlannedSite {
  if (site.layer.base instanceof PackedLinear)
    problems.push(`${site.path} is packed already (${site.layer.base.weight.format})`);
  const all = formats.map((format) => planPacking(site, format, activation, problems));
  return all.reduce((a, b) => (b.bytesAfter > a.bytesAfter ? b : a));
}

function bytesIn(expert: Expert, format: string): number {
  return expert.sites.reduce(
    (sum, { layer }) => sum + packedByteLength(format, layer.outFeatures, layer.inFeatures),
    0,
  );
}

function weightsOf(experts: readonly Expert[]): number {
  const layers = experts.flatMap(({ sites }) => sites.map(({ layer }) => layer));
  return layers.reduce((sum, { outFeatures, inFeatures }) => sum + outFeatures * inFeatures, 0);
}

function budgetOf(experts: readonly Expert[], bits: number): number {
  return (weightsOf(experts) * bits) / 8;
}

function smallestBits(experts: readonly Expert[], formats: readonly string[]): number {
  const least = experts.map((expert) => Math.min(...formats.map((format) => bytesIn(expert, format))));
  return (8 * least.reduce((sum, bytes) => sum + bytes, 0)) / weightsOf(experts);
}

function tooSmall(experts: readonly Expert[], formats: readonly string[], bits: number) {
  return {
    what: 'the experts do not fit even in their smallest formats',
    got: `${bits} bits per weight`,
    expected: `at least ${smallestBits(experts, formats).toFixed(3)}`,
  };
}

function budgetProblem(experts: readonly Expert[], formats: readonly string[], bits: number): string[] {
  if (smallestBits(experts, formats) <= bits) return [];
  const { what, got, expected } = tooSmall(experts, formats, bits);
  return [`${what}: got ${got}; expected ${expected}`];
}

/**
 * Bytes of an expert in each format, and what rounding to it costs: its share of what the experts of its layer add, times the
 * shares of its outputs that rounding changes.
 */
async function choicesOf(
  expert: Expert,
  formats: readonly string[],
  statsOf: StatsOf,
): Promise<PricedChoice[]> {
  const { layer, index, sites } = expert;
  const importance = await importanceIn(layer, index, statsOf);
  const losses = formats.map(() => 0);
  for (const { path, layer: linear } of sites) {
    const weight = await readWeight(linear, path);
    const squares = (await statsOf(path).squares?.toFloat32()) ?? new Float32Array(linear.inFeatures);
    const shape = [linear.outFeatures, linear.inFeatures] as const;
    for (const [f, format] of formats.entries()) {
      const packed = PackedTensor.pack(format, weight, shape, referenceBackend());
      const unpacked = packed.unpack();
      losses[f] += importance * columnErrorShare(weight, await unpacked.toFloat32(), squares);
      unpacked.dispose();
      packed.dispose();
    }
  }
  return formats.map((format, f) => ({ bytes: bytesIn(expert, format), loss: losses[f] }));
}

/** Share of Σ weight · ‖output‖ of the layer that is this expert's. */
async function importanceIn(layer: string, index: number, statsOf: StatsOf): Promise<number> {
  const { salience } = statsOf(layer);
  if (!salience)
    throw new RecipeError({
      where: 'quant.experts',
      what: `calibration never reached ${layer}`,
      hint: 'Calibrate with more text.',
    });
  const [D, E] = salience.shape;
  const values = await salience.toFloat32();
  let [own, all] = [0, 0];
  for (let i = 0; i < D * E; i++) {
    all += values[i];
    if (i % E === index) own += values[i];
  }
  return all > 0 ? own / all : 0;
}
