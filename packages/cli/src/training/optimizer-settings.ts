import { muonWithAdamW, type OptimizerConfig } from '@frugal/trainer';
import { z } from 'zod';
import { nearest } from '../nearest.js';
import { settings } from '../settings.js';

const share = z.number().min(0).lt(1).optional();
const positive = z.number().positive().optional();
const decay = z.number().nonnegative().optional();
const count = z.number().int().positive().optional();

const adamw = { beta1: share, beta2: share, epsilon: positive, weightDecay: decay };

/** What each optimizer can be told, as `createOptimizer` of the trainer takes it. */
const options = {
  adamw,
  adamw8bit: { ...adamw, blockSize: z.number().int().min(1).max(4096).optional(), minimumSize: count },
  sgd: { momentum: share, nesterov: z.boolean().optional(), weightDecay: decay },
  muon: {
    momentum: share,
    nesterov: z.boolean().optional(),
    iterations: count,
    dtype: z.enum(['f32', 'bf16', 'f16']).optional(),
    weightDecay: decay,
  },
} satisfies Record<string, z.ZodRawShape>;

const singleKinds = Object.keys(options) as (keyof typeof options)[];
const single = singleKinds.map((type) => settings({ type: z.literal(type), ...options[type] }));

/** One of the optimizers; an unknown type is answered with the one that was probably meant. */
function byType(members: readonly z.ZodObject[], types: readonly string[]): z.ZodType<OptimizerConfig> {
  const [first, ...others] = members as unknown as [
    z.core.$ZodTypeDiscriminable,
    ...z.core.$ZodTypeDiscriminable[],
  ];
  return z.discriminatedUnion('type', [first, ...others], {
    error: (issue) => {
      if (issue.code !== 'invalid_union') return undefined;
      const type = String((issue.input as { type?: unknown } | undefined)?.type);
      const meant = nearest(type, types);
      return `unknown type ${type}${meant ? `; did you mean ${meant}?` : ` (known: ${types.join(', ')})`}`;
    },
  }) as unknown as z.ZodType<OptimizerConfig>;
}

const group = settings({
  name: z.string().min(1),
  /** Patterns of parameter paths: `blocks.*`. The first group that matches gets a parameter. */
  paths: z.array(z.string()).min(1).optional(),
  kind: z.enum(['matrix', 'vector']).optional(),
  /** Multiplies the rate of the schedule. */
  learningRate: z.number().nonnegative().optional(),
  optimizer: byType(single, singleKinds),
});

const groups = settings({ type: z.literal('groups'), groups: z.array(group).min(1) });

/** What a name alone stands for; Muon is for matrices, so AdamW gets the rest. */
const named: Readonly<Record<string, () => OptimizerConfig>> = {
  muon: muonWithAdamW,
  adamw: () => ({ type: 'adamw' }),
  adamw8bit: () => ({ type: 'adamw8bit' }),
};

/** `muon`, `adamw`, `adamw8bit`, or an object with all options. */
export const optimizerSettings = z.preprocess(
  (value) => (typeof value === 'string' ? (named[value]?.() ?? { type: value }) : value),
  byType([...single, groups], [...singleKinds, 'groups']),
);
