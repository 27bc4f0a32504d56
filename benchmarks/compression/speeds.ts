import { measureSpeed, type Spread } from '@frugal/eval';
import { loadModel } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { median, quantile } from '../shared/statistics.js';

const TURNS = 5;
const PROMPT = 32;
const NEW_TOKENS = 48;

/** New tokens per second of one stream, beside the dense model in bf16, in turns. */
export interface Speeds {
  readonly tokensPerSecond: Readonly<Record<string, Spread>>;
  /** Medians of the ratios of neighbouring turns. */
  readonly ratios: Readonly<Record<string, Spread>>;
}

/** Opens each saved model and lets it take turns with `baseline`, which is opened in bf16. */
export async function measureSpeeds(
  saved: ReadonlyMap<string, string>,
  baseline: string,
  dtype: 'bf16' | 'f32' = 'bf16',
): Promise<Speeds> {
  const dense = await loadModel(baseline, { dtype });
  const tokensPerSecond: Record<string, Spread> = {};
  const ratios: Record<string, Spread> = {};
  for (const [name, path] of saved) {
    const model = await loadModel(path);
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      theirs.push(await decode(dense));
      ours.push(await decode(model));
    }
    tokensPerSecond[name] = spreadOf(ours);
    ratios[name] = spreadOf(ours.map((value, i) => value / theirs[i]));
    model.dispose();
  }
  dense.dispose();
  return { tokensPerSecond, ratios };
}

async function decode(model: CausalLM): Promise<number> {
  const speed = await measureSpeed(model, { promptTokens: PROMPT, newTokens: NEW_TOKENS, repeats: 1 });
  return speed.decodeTokensPerSecond.median;
}

function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), low: quantile(values, 0), high: quantile(values, 1) };
}
