import type { JsonObject } from '@frugal/checkpoint';
import { scaleOf } from '../attach.js';

/** What adapter_config.json says about one layer, and what it says that we cannot do. */
export interface PeftConfig {
  readonly rankStabilized: boolean;
  readonly magnitudes: boolean;
  /** Of a layer by its name in the base model. */
  rankOf(name: string): number;
  scaleOf(name: string): number;
  readonly problems: readonly string[];
}

/** Settings that change what an adapter computes, by the values that change nothing. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  bias: ['none'],
  lora_bias: [false],
  fan_in_fan_out: [false],
  target_parameters: [],
  modules_to_save: [],
  trainable_token_indices: [],
  layer_replication: [],
  alora_invocation_tokens: [],
  arrow_config: [],
  kasa_config: [],
  use_qalora: [false],
  use_bdlora: [false],
};

/** Ways to begin that change the base as well: their adapters belong to a base that no file holds. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq|lora_ga)/;

/** Reads adapter_config.json of PEFT. */
export function readPeftConfig(config: JsonObject): PeftConfig {
  const problems: string[] = [];
  if (config.peft_type !== 'LORA')
    problems.push(`peft_type is ${JSON.stringify(config.peft_type)}, not "LORA"`);
  for (const [key, values] of Object.entries(neutral)) {
    const value = config[key] ?? null;
    const isEmpty = value === null || (Array.isArray(value) && value.length === 0);
    if (!isEmpty && !values.includes(value))
      problems.push(`${key} is not supported: ${JSON.stringify(value)}`);
  }
  if (typeof config.init_lora_weights === 'string' && CHANGES_BASE.test(config.init_lora_weights))
    problems.push(
      `init_lora_weights "${config.init_lora_weights}" changed the base: convert it to plain LoRA with PEFT`,
    );
  const rank = numberOf(config, 'r', problems);
  const alpha = numberOf(config, 'lora_alpha', problems);
  const ranks = patternOf(config, 'rank_pattern', problems);
  const alphas = patternOf(config, 'alpha_pattern', problems);
  const rankStabilized = config.use_rslora === true;
  const rankOf = (name: string) => ranks(name) ?? rank;
  return {
    rankStabilized,
    magnitudes: config.use_dora === true,
    rankOf,
    scaleOf: (name) => scaleOf(alphas(name) ?? alpha, rankOf(name), rankStabilized),
    problems,
  };
}

function numberOf(config: JsonObject, key: string, problems: string[]): number {
  const value = config[key];
  if (typeof value === 'number' && value > 0) return value;
  problems.push(`${key} is ${JSON.stringify(value)}, not a number above 0`);
  return 1;
}

/** Keys are regular expressions for the end of a name, from a dot on; the first that matches holds. */
function patternOf(
  config: JsonObject,
  key: string,
  problems: string[],
): (name: string) => number | undefined {
  const pattern = (config[key] ?? {}) as JsonObject;
  const rules = Object.entries(pattern).flatMap(([expression, value]) => {
    try {
      if (typeof value !== 'number' || !(value > 0)) throw new Error('not a number above 0');
      return [[new RegExp(`^(?:.*\\.)?(?:${expression})$`), value] as const];
    } catch (error) {
      problems.push(`${key}: ${expression}: ${(error as Error).message}`);
      return [];
    }
  });
  return (name) => rules.find(([rule]) => rule.test(name))?.[1];
}
