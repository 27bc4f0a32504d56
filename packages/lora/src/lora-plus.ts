/** What an optimizer of `@frugal/trainer` is made of, as data. */
interface AdamWConfig {
  readonly type: 'adamw';
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
}

/**
 * LoRA+ (Hayou et al. 2024, arXiv:2402.12354): B learns `ratio` times as fast as A. The result is an optimizer as data, for
 * `createOptimizer` of `@frugal/trainer`; what is no B (A, magnitudes, weights of the model) learns at the schedule's rate.
 */
export function loraPlus(ratio = 16, adamw: Omit<AdamWConfig, 'type'> = {}) {
  const optimizer: AdamWConfig = { type: 'adamw', weightDecay: 0, ...adamw };
  return {
    type: 'groups' as const,
    groups: [
      { name: 'up', paths: ['*.up'], learningRate: ratio, optimizer },
      { name: 'rest', optimizer },
    ],
  };
}
