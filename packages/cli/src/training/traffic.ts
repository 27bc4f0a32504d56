import type { DistributedStep } from '@frugal/trainer';
import type { TrainingRecord } from './run-training.js';

/** Adds up what the processes of a training have exchanged. */
export class Traffic {
  private steps = 0;
  private received = 0;
  private shares: readonly number[] = [];

  observe({ shares, received }: DistributedStep): void {
    this.steps++;
    this.received += received;
    this.shares = shares;
  }

  summary(): NonNullable<TrainingRecord['distribution']> {
    const { shares, received, steps } = this;
    return { ranks: shares.length, shares, bytesPerStep: Math.round(received / Math.max(steps, 1)) };
  }
}
