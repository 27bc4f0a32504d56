import type { FloatDType } from '@frugal/tensor-core';
import { TrainerError } from '../errors.js';
import { AdamW, type AdamWOptions } from './adamw.js';
import { AdamW8bit, type AdamW8bitOptions } from './adamw-8bit.js';
import { type ParameterGroup, ParameterGroups } from './groups.js';
import { Muon, type MuonOptions } from './muon.js';
import type { Optimizer } from './optimizer.js';
import { SGD, type SGDOptions } from './sgd.js';

/** An optimizer as data: JSON or YAML. */
export type OptimizerConfig =
  | ({ readonly type: 'adamw' } & AdamWOptions)
  | ({ readonly type: 'adamw8bit' } & AdamW8bitOptions)
  | ({ readonly type: 'sgd' } & SGDOptions)
  | ({ readonly type: 'muon' } & MuonOptions)
  | { readonly type: 'groups'; readonly groups: readonly ParameterGroup<OptimizerConfig>[] };

/** @throws TrainerError for an unknown type */
export function createOptimizer(config: OptimizerConfig): Optimizer {
  switch (config.type) {
    case 'adamw':
      return new AdamW(config);
    case 'adamw8bit':
      return new AdamW8bit(config);
    case 'sgd':
      return new SGD(config);
    case 'muon':
      return new Muon(config);
    case 'groups':
      return new ParameterGroups(
        config.groups.map((group) => ({ ...group, optimizer: createOptimizer(group.optimizer) })),
      );
    default:
      throw new TrainerError({
        where: 'optimizer',
        what: 'unknown type',
        got: String((config as { type: unknown }).type),
        expected: 'adamw, adamw8bit, sgd, muon or groups',
      });
  }
}

/**
 * What trains small language models fastest: Muon for the matrices of the blocks, AdamW without weight decay for
 * embeddings, head, norms and biases, at `embeddingLearningRate` times the schedule's rate.
 */
export function muonWithAdamW({
  embeddingLearningRate = 1.5,
  dtype,
}: {
  readonly embeddingLearningRate?: number;
  /** Of Muon's iteration. */
  readonly dtype?: FloatDType;
} = {}): OptimizerConfig {
  return {
    type: 'groups',
    groups: [
      { name: 'matrices', paths: ['blocks.*'], kind: 'matrix', optimizer: { type: 'muon', dtype } },
      {
        name: 'rest',
        optimizer: { type: 'adamw', beta2: 0.95, weightDecay: 0 },
        learningRate: embeddingLearningRate,
      },
    ],
  };
}
