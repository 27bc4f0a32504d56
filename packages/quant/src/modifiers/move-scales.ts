import {
  type Edit,
  type Modifier,
  RecipeError,
  type Site,
  type StatName,
  type Stats,
  type StatsOf,
} from '@frugal/compress';
import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { isLinearLike, Linear, type LinearLike, type Module, PackedLinear } from '@frugal/tensor-core/nn';

/** A tensor inside a block that something gives and linear layers read: factors can move from its channels into those layers. */
export interface Passage {
  readonly path: string;
  /** A norm whose output can be scaled, or the layer whose rows give the channels. */
  readonly giver: Module;
  readonly giverPath: string;
  readonly consumers: readonly LinearLike[];
  readonly consumerPaths: readonly string[];
}

/** A norm whose output can be scaled by channel. */
type ScalableNorm = Module & { scaleOutput(factors: Tensor): void };

interface Scales {
  /** What the columns of the consumers are multiplied by. */
  readonly scales: Float32Array;
  readonly measured: Readonly<Record<string, number>>;
}

/**
 * The parts of a modifier that all methods share which move scales into the layers that read a tensor: from a norm
 * (targets are norms), and from the rows of the layer that passes them on linearly, such as `up` of a gated MLP
 * (targets are MLPs). What the model computes stays the same.
 */
export function scaleMovingMethod(
  type: string,
  stats: readonly StatName[],
  scalesOf: (passage: Passage, stats: Stats) => Promise<Scales>,
): Omit<Modifier, 'spec'> {
  return {
    sites: ['norm-group', 'ffn'],
    needs: { stats },
    plan: (sites) => {
      const passages = sites.flatMap(passagesOf);
      return {
        sites: passages.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
        problems: passages.flatMap(problemsOf),
      };
    },
    async apply(site, statsOf) {
      const [passage] = passagesOf(site);
      if (!passage) return { edits: [] };
      const [problem] = problemsOf(passage); // an earlier stage may have packed what `plan` still saw as dense
      if (problem) throw new RecipeError({ where: type, what: problem, got: passage.path });
      const { scales, measured } = await scalesOf(passage, inputStats(type, passage, statsOf));
      return { edits: moveScales(passage, scales), measured };
    },
  };
}

function passagesOf(site: Site): Passage[] {
  const { path } = site;
  if (site.kind === 'norm-group') return [{ ...site, giver: site.norm, giverPath: path }];
  if (site.kind !== 'ffn' || site.coupling.linear === undefined) return [];
  const { linear, members } = site.coupling;
  const giver = site.members[members.findIndex((member) => member.path === linear)];
  const readers = members.flatMap((member, i) => {
    const module = site.members[i];
    return member.axis === 'columns' && isLinearLike(module) ? [{ path: member.path, module }] : [];
  });
  const consumers = readers.map(({ module }) => module);
  return [{ path, giver, giverPath: linear, consumers, consumerPaths: readers.map((each) => each.path) }];
}

function problemsOf({ path, giver, giverPath, consumers }: Passage): string[] {
  const problems: string[] = [];
  if (isLinearLike(giver) && !(giver instanceof Linear))
    problems.push(`${giverPath} is not dense: move scales before quantising`);
  else if (!isLinearLike(giver) && !('scaleOutput' in giver))
    problems.push(`${path} is no norm whose output can be scaled`);
  if (consumers.some(({ base }) => base instanceof PackedLinear))
    problems.push(`${path} feeds layers that are packed already: move scales before quantising`);
  return problems;
}

/** All consumers read the same tensor: what is known of the first holds for all. */
function inputStats(type: string, { path, consumerPaths }: Passage, statsOf: StatsOf): Stats {
  const stats = statsOf(consumerPaths[0]);
  if (Object.keys(stats).length > 0) return stats;
  throw new RecipeError({
    where: type,
    what: `calibration never reached the layers behind ${path}`,
    hint: 'Calibrate with more text, or exclude the norm.',
  });
}

/** Divides the channels by the scales and multiplies the columns that read them: the product stays the same. */
function moveScales({ giver, giverPath, consumers }: Passage, scales: Float32Array): Edit[] {
  const [first] = consumers as readonly [LinearLike & { weight?: { value: { backend: never } } }];
  const backend = first.weight?.value.backend;
  const columns = tensor(scales, { backend });
  const channels = tensor(
    scales.map((scale) => 1 / scale),
    { backend },
  );
  try {
    for (const consumer of consumers) consumer.scaleColumns(columns);
    if (giver instanceof Linear) return [{ path: giverPath, values: scaledRows(giver, channels) }];
    (giver as ScalableNorm).scaleOutput(channels);
    return [];
  } finally {
    columns.dispose();
    channels.dispose();
  }
}

/** The weight and bias of a layer that gives row r times factors[r]. */
function scaledRows({ weight, bias }: Linear, factors: Tensor): Record<string, Tensor> {
  const times = (value: Tensor, by: Tensor) =>
    noGrad(() => scope(() => value.cast('f32').mul(by).cast(value.dtype)));
  return {
    weight: times(weight.value, factors.reshape(-1, 1)),
    ...(bias && { bias: times(bias.value, factors) }),
  };
}
