import { defineMethod, type Edit, type Site } from '@frugal/compress';
import { noGrad, ones, scope, type Tensor, tensor } from '@frugal/tensor-core';
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
      if (!model.couplings().some(({ kind }) => kind === 'residual'))
        problems.push(
          'the model has no residual stream that can be turned: its embeddings are scaled, or a layer reads it twice',
        );
      else if (!sites.some(({ kind }) => kind === 'residual'))
        problems.push('the targets leave out the residual stream: include **');
      if (sites.filter(({ kind }) => kind === 'norm-group').length < model.normGroups().length)
        problems.push('the targets leave out norms: a stream is turned whole or not at all');
      return { sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })), problems };
    },
    async apply(site, _, model) {
      if (site.kind === 'norm-group')
        return { edits: foldNorm(site.path, site.norm as RMSNorm, site.consumers) };
      if (site.kind !== 'residual') return { edits: [] };
      const { units, members } = site.coupling;
      const matrix = await rotationMatrix(units, seed);
      const edits = members.flatMap((member, i) => turned(member, site.members[i], matrix));
      return { edits: [...edits, ...ownHead(model, matrix)] };
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
function foldNorm(path: string, norm: RMSNorm, consumers: readonly LinearLike[]): Edit[] {
  const factors = factorsOf(norm);
  for (const consumer of consumers) consumer.scaleColumns(factors);
  factors.dispose();
  return [withoutFactors(path, norm)];
}

/**
 * A tied head has no norm group, because no scale can move into a matrix that the embedding uses too: it becomes a turned matrix of
 * its own, with the factors of the final norm.
 */
function ownHead(model: Model, matrix: Float32Array): Edit[] {
  if (!model.ties.some(({ path }) => path === 'head.weight')) return [];
  const [norm, head] = [model.module('norm'), model.module('head')];
  if (!(norm instanceof RMSNorm) || !isLinearLike(head)) return [];
  const factors = factorsOf(norm);
  const own = scope(() =>
    noGrad(() => {
      const size = Math.sqrt(matrix.length);
      const rotation = tensor(matrix, { shape: [size, size], backend: factors.backend });
      return head.effectiveWeight().mul(factors).matmul(rotation);
    }),
  );
  factors.dispose();
  return [{ path: 'head', module: new Linear(own) }, withoutFactors('norm', norm)];
}

function factorsOf(norm: RMSNorm): Tensor {
  return scope(() => noGrad(() => norm.weight.value.cast('f32').add(norm.offset)));
}

/** All factors become 1: divided by themselves they would not, where one is 0. */
function withoutFactors(path: string, { weight: { value }, offset }: RMSNorm): Edit {
  const { dtype, backend, shape } = value;
  const weight = scope(() => noGrad(() => ones(shape, { backend }).sub(offset).cast(dtype)));
  return { path, values: { weight } };
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
