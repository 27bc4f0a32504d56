import { ArgumentError } from '@frugal/tensor-core';
import { z } from 'zod';
import {
  type Divergence,
  forwardKL,
  jensenShannon,
  reverseKL,
  skewKL,
  skewReverseKL,
} from './losses/index.js';

/** Names as recipes and the command line have them. */
export const divergenceNames = [
  'forward-kl',
  'reverse-kl',
  'jensen-shannon',
  'skew-kl',
  'skew-reverse-kl',
] as const;

export type DivergenceName = (typeof divergenceNames)[number];

export const divergenceOptions = {
  loss: z.enum(divergenceNames).default('forward-kl'),
  /** Share of the teacher in the mixture of `jensen-shannon`. */
  beta: z.number().gt(0).lt(1).optional(),
  /** Share of the first distribution in the mixture of `skew-kl` and `skew-reverse-kl`. */
  skew: z.number().gt(0).lt(1).optional(),
};

/** @throws ArgumentError for a share that the loss does not have */
export function divergenceByName({
  loss,
  beta,
  skew,
}: {
  readonly loss: DivergenceName;
  readonly beta?: number | undefined;
  readonly skew?: number | undefined;
}): Divergence {
  refuseShare('beta', beta, loss, ['jensen-shannon']);
  refuseShare('skew', skew, loss, ['skew-kl', 'skew-reverse-kl']);
  const all: Readonly<Record<DivergenceName, () => Divergence>> = {
    'forward-kl': () => forwardKL,
    'reverse-kl': () => reverseKL,
    'jensen-shannon': () => jensenShannon(beta),
    'skew-kl': () => skewKL(skew),
    'skew-reverse-kl': () => skewReverseKL(skew),
  };
  return all[loss]();
}

function refuseShare(
  name: string,
  value: number | undefined,
  loss: DivergenceName,
  takers: readonly DivergenceName[],
): void {
  if (value === undefined || takers.includes(loss)) return;
  throw new ArgumentError({
    where: 'distill',
    what: `${loss} takes no ${name}`,
    got: String(value),
    hint: `It belongs to ${takers.join(' and ')}.`,
  });
}
