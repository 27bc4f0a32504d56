import {
  backendOf,
  defineMethod,
  denseLayer,
  isDense,
  linearSites,
  readWeight,
  type Stats,
} from '@frugal/compress';
import { ArgumentError, PackedTensor } from '@frugal/tensor-core';
import { parseIntegerGroups } from '@frugal/tensor-core/formats';
import { z } from 'zod';
import { gptq } from '../maths/gptq.js';
import { gridOf, partsOf } from '../maths/integer-parts.js';
import { packedEdits, planPacking } from './packing.js';
import { roundingOptions } from './rounding.js';

/** Fewer calibration rows than columns leave directions of which nothing is known. */
const STARVED_SHARE = 1;

/**
 * GPTQ (Frantar et al. 2022, arXiv:2210.17323): rounds to a format of integer groups, and lets the weights that follow
 * make up for each rounding. Every expert is calibrated on the rows that reach it; one that none reaches is rounded to
 * nearest, and the report says so.
 */
export const gptqQuantization = defineMethod(
  'quant.gptq',
  {
    /** Integer groups such as `int4-g128` or `int4-g32-zero`. */
    format: z.string(),
    damping: z.number().positive().max(1).default(0.01),
    /** Columns with the largest activations first. Costs nothing when the model runs. */
    actOrder: z.boolean().default(false),
    activation: roundingOptions.activation,
  },
  ({ format, damping, actOrder, activation }) => {
    const groups = parseIntegerGroups(format);
    if (!groups || groups.ordered) {
      throw new ArgumentError({
        where: 'quant.gptq',
        what: 'not a format of integer groups',
        got: format,
        expected: 'int4-g128, int3-g64-zero, … without an order of columns',
      });
    }
    const grid = gridOf(groups);
    return {
      sites: ['linear'],
      needs: { stats: ['gram', 'rows'] },
      plan(sites) {
        const problems: string[] = [];
        const planned = linearSites(sites).map((site) => {
          if (!isDense(site.layer)) problems.push(`${site.path} is not dense`);
          return planPacking(site, format, activation, problems);
        });
        return { sites: planned, problems };
      },
      async apply(site, statsOf) {
        if (site.kind !== 'linear') return { edits: [] };
        const { path } = site;
        const layer = denseLayer('quant.gptq', site);
        const shape = [layer.outFeatures, layer.inFeatures] as const;
        const { gram, rows }: Stats = statsOf(path);
        const count = rows ? await rows.item() : 0;
        const backend = backendOf(layer);
        const weight = await readWeight(layer, path);
        if (!gram || count === 0) {
          const packed = PackedTensor.pack(format, weight, shape, backend);
          return {
            edits: packedEdits(site, packed, activation),
            measured: { rows: 0, note: 'rounded to nearest' },
          };
        }
        const result = await gptq(weight, shape, gram, { grid, damping, actOrder });
        const packed = PackedTensor.fromParts(format, shape, partsOf(groups, shape, result), backend);
        const starved = count < STARVED_SHARE * layer.inFeatures ? { note: 'fewer rows than columns' } : {};
        const measured = {
          rows: count,
          damping: result.damping,
          deadColumns: result.deadColumns,
          ...starved,
        };
        return { edits: packedEdits(site, packed, activation), measured };
      },
    };
  },
);
