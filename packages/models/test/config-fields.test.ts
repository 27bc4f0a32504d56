import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Checkpoint, openCheckpoint } from '@frugal/checkpoint';
import { noGrad, scope } from '@frugal/tensor-core';
import { type Model, type ModelConfig, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { encoderOf, ModelConfigError, modelOf } from '../src/index.js';
import { structureOf } from '../src/load.js';
import { readExpected, relativeDifference } from './support/oracle.js';

/** One changed config and what transformers makes of it: see oracles/make_varied_configs.py. */
interface Case {
  readonly set?: Readonly<Record<string, unknown>>;
  readonly drop?: readonly string[];
  readonly parameters?: number;
  readonly logits?: readonly number[];
  readonly same?: boolean;
}

const fixtures = fileURLToPath(new URL('../../../oracles/fixtures', import.meta.url));
const { made: _, ...audits } = JSON.parse(await readFile(`${fixtures}/config-fields.json`, 'utf8')) as Record<
  string,
  Case[]
>;

function changed(config: ModelConfig, { set = {}, drop = [] }: Case): ModelConfig {
  const kept = Object.entries(config).filter(([name]) => !drop.includes(name));
  return { ...Object.fromEntries(kept), ...set } as ModelConfig;
}

/** Parameters, those of blocks that predict further tokens aside: transformers has none of them. */
function parametersOf(model: Model): number {
  const sizes = [...model.namedParameters()].map(([path, { value }]) => {
    const isFurther = path.startsWith('extraBlocks.');
    return isFurther ? 0 : value.shape.reduce((a, b) => a * b, 1);
  });
  return sizes.reduce((a, b) => a + b, 0);
}

/** The first logits of the last position of the first row. */
async function logitsOf(checkpoint: Checkpoint, directory: string, count: number): Promise<Float32Array> {
  const [ids] = (await readExpected(directory)).rows('input_ids');
  if (/bert/.test(directory)) {
    const encoder = await encoderOf(checkpoint);
    const batch = stepBatch([ids], { vocabularySize: encoder.vocabularySize });
    const logits = scope(() => noGrad(() => encoder.forward(batch).logits()));
    return (await logits.toFloat32()).subarray(0, count);
  }
  const model = await modelOf(checkpoint);
  const { vocabularySize } = model;
  const logits = scope(() =>
    noGrad(() => model.forward(stepBatch([ids], { vocabularySize, logits: 'last' })).logits()),
  );
  const values = await logits.toFloat32();
  logits.dispose();
  model.dispose();
  return values.subarray(0, count);
}

/** Words of which a refusal must have one; what has two names is refused by either. */
function namesIn({ set = {}, drop = [] }: Case): string[] {
  const inner = Object.values(set).flatMap((value) =>
    value && typeof value === 'object' && !Array.isArray(value) ? namesIn({ set: value as never }) : [],
  );
  const words = [...Object.keys(set), ...inner, ...drop];
  return words.includes('num_experts') ? [...words, 'num_local_experts'] : words;
}

/** Fields that change what models compute whose code is not part of transformers, or not among the audited families. */
const remote: Readonly<Record<string, unknown>> = {
  attention_multiplier: 0.5,
  attention_sinks: true,
  clip_qkv: 8,
  embedding_multiplier: 12,
  logit_scale: 0.0625,
  logits_scaling: 8,
  moe_layer_freq: 2,
  parallel_attn: true,
  partial_rotary_factor: 0.5,
  qk_layernorm: true,
  residual_multiplier: 0.22,
  rotary_pct: 0.25,
  scale_emb: 12,
  scoring_func: 'tanh',
  use_parallel_residual: true,
  use_qk_norm: true,
};

/** Every field of any family, with a value from its audit that is not its default everywhere. */
const everywhere = new Map(
  Object.entries({
    ...Object.fromEntries(
      Object.values(audits)
        .flat()
        .flatMap(({ set = {} }) => Object.entries(set).filter(([, value]) => value !== null)),
    ),
    ...remote,
  }),
);

describe.each(Object.entries(audits))('%s', (name, [base, ...cases]) => {
  it.each(cases.map((change) => [JSON.stringify({ set: change.set, drop: change.drop }), change] as const))(
    '%s means what it means to transformers, or is refused by name',
    async (_, change) => {
      const directory = `${fixtures}/families/${name}`;
      const opened = await openCheckpoint(directory);
      const config = changed(opened.config as ModelConfig, change);
      try {
        const structure = structureOf(config);
        if (change.parameters !== undefined) {
          expect(parametersOf(structure)).toBe(change.parameters);
          return;
        }
        const wanted = (change.logits ?? base.logits) as readonly number[];
        const actual = await logitsOf(
          { ...opened, config: config as Checkpoint['config'] },
          directory,
          wanted.length,
        );
        expect(relativeDifference(actual, wanted)).toBeLessThan(2e-5);
      } catch (error) {
        if (!(error instanceof ModelConfigError)) throw error;
        expect(
          namesIn(change).some((word) => error.message.includes(word)),
          error.message,
        ).toBe(true);
      } finally {
        await opened.close();
      }
    },
  );
});

it.each(Object.keys(audits))('%s refuses the fields of other families by name', async (name) => {
  const { config, close } = await openCheckpoint(`${fixtures}/families/${name}`);
  await close();
  const own = new Set(audits[name].flatMap(({ set = {}, drop = [] }) => [...Object.keys(set), ...drop]));
  const ignored: string[] = [];
  for (const [field, value] of everywhere) {
    if (own.has(field)) continue;
    try {
      structureOf({ ...config, [field]: value } as ModelConfig);
      ignored.push(field);
    } catch (error) {
      expect((error as Error).message).toContain(field);
    }
  }
  expect(ignored).toEqual([]);
});
