import type { TrainingOverrides } from './config.js';

/** Sequences are no longer than this unless the user says so: longer ones need more memory. */
export const TUNING_SEQUENCE = 1024;
export const TUNING_RATE = { lora: 2e-4, full: 2e-5 };

/** How a model that knows something already is trained further, unless the user says otherwise. */
export function tuningDefaults(
  kind: keyof typeof TUNING_RATE,
  { contextLength }: { readonly contextLength: number },
): TrainingOverrides {
  return {
    sequence: Math.min(TUNING_SEQUENCE, contextLength),
    batch: 4,
    learningRate: TUNING_RATE[kind],
    warmup: 0.03,
    recompute: true,
    optimizer: { type: 'adamw', weightDecay: 0 },
  };
}
