import { defineMethod, type Edit, type Site } from '@frugal/compress';
import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import {
  type CouplingMember,
  Embedding,
  isLinearLike,
  Linear,
  type LinearLike,
  type Model,
  type Module,
  RMSNorm,
} from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { rotationMatrix } from '../maths/rotation.js';

type ResidualSite = Extract<Site, { kind: 'residual' }>;

/**
 * Turns the residual stream so that no channel stands out, and all weights with it (QuaRot, Ashkboos et al. 2024,
 * arXiv:2404.00456, without its rotations at run time): the factors of the norms move into the layers behind them, then
 * everything that reads or writes the stream is multiplied by one orthogonal matrix. The model computes the same, and
 * rounds better afterwards. A tied head becomes a matrix of its own, because the final norm goes into it.
 */
export const rotate = defineMethod(
  'quant.rotate',
  { seed: z.number().int().nonnegative().default(0) },
  ({ seed }) => ({
    sites: ['norm-group', 'residual'],
    needs: {},
    plan(sites, model) {
      const problems = sites.flatMap((site) => problemsOf(site));
      if (!sites.some(({ kind }) => kind === 'residual'))
        problems.push('the targets leave out the residual stream: include **');
      if (sites.filter(({ kind }) => kind === 'norm-group').length < model.normGroups().length)
        problems.push('the targets leave out norms: a stream is turned whole or not at all');
      return { sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })), problems };
    },
    async apply(site, _, model) {
      if (site.kind === 'norm-group') return { edits: foldNorm(site.norm as RMSNorm, site.consumers, model) };
      if (site.kind !== 'residual') return { edits: [] };
      const { units, members } = site.coupling;
      const matrix = await rotationMatrix(units, seed);
      const edits = members.flatMap((member, i) => turned(member, site.members[i], matrix));
      return { edits };
    },
  }),
);

function problemsOf(site: Site): string[] {
  if (site.kind === 'norm-group')
    return [
      ...(site.norm instanceof RMSNorm ? [] : [`${site.path} subtracts a mean, which no rotation keeps`]),
      ...site.consumers.flatMap(({ base }, i) =>
        base instanceof Linear
          ? []
          : [`${site.consumerPaths[i]} is packed already: rotate before quantising`],
      ),
    ];
  if (site.kind !== 'residual') return [];
  return (site as ResidualSite).members.flatMap((module, i) => {
    const known = module instanceof Linear || module instanceof Embedding || module instanceof RMSNorm;
    return known ? [] : [`${site.coupling.members[i].path} cannot be turned`];
  });
}

/** Moves the factors of a norm into the layers that read it. */
function foldNorm(norm: RMSNorm, consumers: readonly LinearLike[], model: Model): Edit[] {
  const edits: Edit[] = [];
  const factors = scope(() => noGrad(() => norm.weight.value.cast('f32').add(norm.offset)));
  const inverse = scope(() => noGrad(() => factors.pow(-1)));
  for (const consumer of consumers) {
    const tied = model.ties.find(({ path }) => path === 'head.weight') && consumer === headOf(model);
    if (!tied) consumer.scaleColumns(factors);
    else {
      const own = scope(() => noGrad(() => consumer.effectiveWeight().mul(factors)));
      edits.push({ path: 'head', module: new Linear(own) }, { config: { tie_word_embeddings: false } });
    }
  }
  norm.scaleOutput(inverse);
  factors.dispose();
  inverse.dispose();
  return edits;
}

function headOf(model: Model): Module {
  return model.module('head');
}

/** Rows of what is read (and embeddings) times R from the right, what is written times Rᵀ from the left. */
function turned({ path, axis }: CouplingMember, module: Module, matrix: Float32Array): Edit[] {
  if (module instanceof RMSNorm) return []; // its factors are all 1 by now
  const { weight, bias = null } = module as Linear;
  const turn = (value: Tensor, rows: boolean) =>
    scope(() =>
      noGrad(() => {
        const size = Math.sqrt(matrix.length);
        const rotation = tensor(matrix, { shape: [size, size], backend: value.backend });
        const wide = value.cast('f32');
        return (rows ? rotation.transpose().matmul(wide) : wide.matmul(rotation)).cast(value.dtype);
      }),
    );
  const values: Record<string, Tensor> = {
    weight: turn(weight.value, axis === 'rows' && isLinearLike(module)),
  };
  if (bias && axis === 'rows') values.bias = turn(bias.value.reshape(-1, 1), true).reshape(-1);
  return [{ path, values }];
}
