import { RotaryEmbedding, type RotaryOptions } from '@frugal/tensor-core/nn';
import { type ConfigReader, ModelConfigError } from './config-reader.js';
import { type RopeTable, type RopeType, ropeScalings } from './rope-scaling.js';

/** What a family says of its rotary positions. */
export interface RopeDefaults {
  /** max_position_embeddings. */
  readonly contextLength: number;
  /** Where the config gives no base; default 10000. */
  readonly theta?: number;
  readonly interleaved?: boolean;
  /** What the config calls the size of what is rotated; default head_dim. */
  readonly sizeField?: string;
}

export interface Rope {
  readonly rotary: RotaryEmbedding;
  /** Angle per position of each rotated pair, [D / 2]. */
  readonly frequencies: readonly number[];
  /** Longest sequence, after scaling. */
  readonly contextLength: number;
  /** Factor on attention scores that DeepSeek takes from yarn's mscale_all_dim; 1 elsewhere. */
  readonly scoreFactor: number;
}

/**
 * Reads the rotary settings of a config, in the older layout (`rope_theta`, `rope_scaling`) and the newer one
 * (`rope_parameters`).
 * @throws ModelConfigError for unknown scalings, settings out of range, and heads that are rotated only in part
 */
export function readRope(config: ConfigReader, headSize: number, defaults: RopeDefaults): Rope {
  const newer = config.object('rope_parameters');
  const older = config.object('rope_scaling');
  refuseBoth(newer, older);
  const theta = readTheta(config, newer, 'rope_theta', defaults.theta);
  config.only('partial_rotary_factor', 1);
  const table = readScaling(config, newer ?? older, theta, headSize, defaults.contextLength);
  return rope('rope', table, headSize, defaults);
}

/** Where one of several rotary tables comes from. */
export interface NamedRope {
  readonly theta: number;
  /** The older layout's field for the base. */
  readonly thetaField: string;
  /** Whether the older layout's rope_scaling is meant for it. */
  readonly scaled: boolean;
}

/** {@link readRope} for models with a table per layer type (Gemma 3): `rope_parameters` is nested by type. */
export function readRopes<Type extends string>(
  config: ConfigReader,
  headSize: number,
  contextLength: number,
  types: Readonly<Record<Type, NamedRope>>,
): { readonly tables: Record<Type, RotaryEmbedding>; readonly contextLength: number } {
  const nested = config.object('rope_parameters');
  const older = config.object('rope_scaling');
  refuseBoth(nested, older);
  const ropes = Object.entries<NamedRope>(types).map(([type, { theta: fallback, thetaField, scaled }]) => {
    const newer = nested?.object(type);
    if (scaled && older && !older.has('rope_type') && older.has('type')) refuseOldWord(older);
    const theta = readTheta(config, newer, thetaField, fallback);
    const table = readScaling(config, newer ?? (scaled ? older : undefined), theta, headSize, contextLength);
    return [type, rope(`rope:${type}`, table, headSize, { contextLength })] as const;
  });
  nested?.finish();
  return {
    tables: Object.fromEntries(ropes.map(([type, { rotary }]) => [type, rotary])) as Record<
      Type,
      RotaryEmbedding
    >,
    contextLength: Math.max(...ropes.map(([, { contextLength: length }]) => length)),
  };
}

/** transformers 4 read `type` where `rope_type` was missing; 5 ignores it in configs with a table per layer type. */
function refuseOldWord(scaling: ConfigReader): void {
  throw new ModelConfigError({
    where: 'config.json: rope_scaling',
    what: 'field type, which some versions of transformers ignore here',
    got: JSON.stringify(scaling.json.type),
    expected: 'rope_type',
    hint: 'Rename it to rope_type, or remove it if the model was trained without.',
  });
}

function refuseBoth(newer: ConfigReader | undefined, older: ConfigReader | undefined): void {
  if (!newer || !older) return;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'both rope_parameters and rope_scaling are given',
    hint: 'Remove the one that does not hold.',
  });
}

/** The base: inside rope_parameters, or beside it. */
function readTheta(
  config: ConfigReader,
  newer: ConfigReader | undefined,
  field: string,
  fallback = 10000,
): number {
  if (!newer?.has('rope_theta')) return config.number(field, fallback);
  const theta = newer.number('rope_theta');
  if (config.has(field)) config.only(field, theta);
  return theta;
}

function readScaling(
  config: ConfigReader,
  scaling: ConfigReader | undefined,
  theta: number,
  headSize: number,
  contextLength: number,
): RopeTable {
  const plain = RotaryEmbedding.frequencies(headSize, theta);
  if (!scaling) return { frequencies: plain };
  scaling.only('partial_rotary_factor', 1);
  const typeField = scaling.has('rope_type') ? 'rope_type' : 'type';
  scaling.ignore('type');
  const type = scaling.oneOf(typeField, Object.keys(ropeScalings) as RopeType[], 'default');
  // Some configs say beside the scaling what the model was trained with first.
  const original = config.integerOrNull('original_max_position_embeddings', null);
  const table = ropeScalings[type](plain, scaling, { theta, headSize, contextLength, original });
  scaling.finish();
  return table;
}

function rope(
  name: string,
  { contextLength, scoreFactor = 1, ...table }: RopeTable,
  headSize: number,
  defaults: RopeDefaults,
): Rope {
  if (headSize % 2 !== 0) {
    throw new ModelConfigError({
      where: 'config.json',
      what: `field ${defaults.sizeField ?? 'head_dim, or hidden_size / num_attention_heads'}`,
      got: String(headSize),
      expected: 'an even number',
    });
  }
  requireUsable(table);
  const { interleaved = false } = defaults;
  return {
    rotary: new RotaryEmbedding({ name, interleaved, ...table }),
    frequencies: table.frequencies,
    contextLength: Math.floor(Math.max(defaults.contextLength, contextLength ?? 0)),
    scoreFactor,
  };
}

/** A factor of 0 or a base below 1 would only show as NaN in the logits. */
function requireUsable({
  frequencies,
  attentionFactor = 1,
}: Pick<RotaryOptions, 'frequencies' | 'attentionFactor'>): void {
  const numbers = [...frequencies, attentionFactor];
  if (numbers.every((value) => Number.isFinite(value) && value > 0)) return;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'the rotary settings give no usable angles',
    got: numbers.join(', '),
  });
}
