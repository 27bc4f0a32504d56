import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createModel, loadModel, saveModel } from '@frugal/models';
import { type ExpertMemoryUse, expertMemoryOf, MixtureOfExperts } from '@frugal/moe';
import { noGrad, Random, scope } from '@frugal/tensor-core';
import { ModelSteps, PagedKVCache } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Row } from '../shared/result.js';

/**
 * Tokens per second with half of the experts in memory. What leaves memory leaves the page cache of the system too, so that
 * reading is reading from the disk. Plain LRU reads what a layer has chosen with the same requests; it guesses nothing and lets
 * the one go that was used longest ago.
 */
const config = {
  architectures: ['Qwen3MoeForCausalLM'],
  hidden_size: 512,
  intermediate_size: 1024,
  moe_intermediate_size: 1024,
  num_hidden_layers: 8,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  head_dim: 64,
  num_experts: 32,
  num_experts_per_tok: 4,
  norm_topk_prob: true,
  vocab_size: 4096,
  max_position_embeddings: 512,
};

/** A mixture, and what it is to read. */
export interface Subject {
  readonly model: CausalLM;
  readonly tokens: readonly number[];
  /** What the result says of it. */
  readonly notes: Readonly<Record<string, unknown>>;
}

/** Bytes of one expert in bf16, and of all. */
function expertBytes(model: CausalLM): { readonly one: number; readonly all: number } {
  const stacks = [...model.namedModules()].flatMap(([, module]) =>
    module instanceof MixtureOfExperts ? module.experts.stacks : [],
  );
  const all =
    2 *
    stacks.reduce((sum, { experts, inFeatures, outFeatures }) => sum + experts * inFeatures * outFeatures, 0);
  return { one: (3 * all) / stacks.reduce((sum, { experts }) => sum + experts, 0), all };
}

/**
 * Hidden states of trained models have a direction in common, which makes some experts much used: here so much that half of
 * them get about 80 % of the choices.
 */
const COMMON = 0.7;
/** Embeddings so large beside what layers add that the next layer's choice can be guessed about as well as in Mixtral. */
const EMBEDDING_SCALE = 1;

const variants = {
  'guessed, least used goes': { eviction: 'frequency', predict: true },
  'guessed, longest unused goes': { eviction: 'least-recent', predict: true },
  'not guessed, least used goes': { eviction: 'frequency', predict: false },
  'plain LRU': { eviction: 'least-recent', predict: false },
} as const;
type Variant = keyof typeof variants | 'all in memory';

/** Random weights, so that experts are large enough to tell reading them from the disk. */
export async function generatedMixture(count: number): Promise<Subject> {
  const model = createModel(config, { seed: 1 });
  const embedding = model.parameters()[0];
  embedding.value = noGrad(() =>
    scope(() => {
      const common = new Random(2).normal([1, config.hidden_size]).mul(COMMON);
      return new Random(3).normal([config.vocab_size, config.hidden_size]).add(common).mul(EMBEDDING_SCALE);
    }),
  );
  return { model, tokens: await tokensOf(count), notes: { config } };
}

/** Tokens as often as words: the r-th one in proportion to 1 / r. */
async function tokensOf(count: number): Promise<number[]> {
  const draws = await new Random(4).uniform([count]).toFloat32();
  return [...draws].map((draw) => Math.floor(config.vocab_size ** draw) - 1);
}

/** Bytes that this process had read from disks; undefined where the system does not say. */
function bytesRead(): number | undefined {
  try {
    return Number(/^read_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

interface Turn {
  readonly speed: number;
  readonly use: ExpertMemoryUse;
  /** Per token, as the system counts it. */
  readonly read: number | undefined;
}

async function turn(
  path: string,
  variant: Variant,
  { tokens, warmUp, bytes }: { tokens: readonly number[]; warmUp: number; bytes: number },
): Promise<Turn> {
  const settings =
    variant === 'all in memory' ? { budget: bytes } : { budget: Math.floor(bytes / 2), ...variants[variant] };
  const model = await loadModel(path, { dtype: 'bf16', expertMemory: settings });
  const memory = expertMemoryOf(model)!;
  const cache = new PagedKVCache(model.cacheSpec, { tokens: model.contextLength });
  const steps = new ModelSteps(model, cache);
  let sequence = cache.open();
  let used = 0;
  const step = async (token: number): Promise<void> => {
    if (used === model.contextLength) {
      cache.close(sequence);
      sequence = cache.open();
      used = 0;
    }
    const { logits } = steps.run([{ sequence, tokens: [token], logits: 1 }]);
    used++;
    await logits?.toFloat32();
    logits?.dispose();
  };
  for (const token of tokens.slice(0, warmUp)) await step(token);
  const [before, readBefore, start] = [memory.use, bytesRead(), performance.now()];
  for (const token of tokens.slice(warmUp)) await step(token);
  const seconds = (performance.now() - start) / 1000;
  const [after, read] = [memory.use, bytesRead()];
  steps.dispose();
  cache.dispose();
  model.dispose();
  const count = tokens.length - warmUp;
  const counted = Object.entries(after).map(([name, value]) => {
    const isSum = name !== 'residentBytes' && name !== 'budget';
    return [name, isSum ? value - before[name as keyof ExpertMemoryUse] : value] as const;
  });
  return {
    speed: count / seconds,
    use: Object.fromEntries(counted) as unknown as ExpertMemoryUse,
    read: read === undefined || readBefore === undefined ? undefined : (read - readBefore) / count,
  };
}

/** @param folder on a disk; default: a new one in the home folder, since temporary folders are often in memory */
export async function memoryRows(
  { model, tokens, notes }: Subject,
  turns: number,
  { warmUp, folder = homedir() }: { warmUp: number; folder?: string | undefined },
): Promise<{ readonly rows: Row[]; readonly notes: Record<string, unknown> }> {
  const place = mkdtempSync(join(folder, 'frugal-bench-experts-'));
  try {
    const path = join(place, 'model');
    const bytes = expertBytes(model);
    await saveModel(model, path, { dtype: 'bf16' });
    model.dispose();
    const names: Variant[] = ['all in memory', ...(Object.keys(variants) as (keyof typeof variants)[])];
    const results = new Map<Variant, Turn[]>(names.map((name) => [name, []]));
    for (let i = 0; i < turns; i++)
      for (const name of i % 2 === 0 ? names : [...names].reverse()) {
        const result = await turn(path, name, { tokens, warmUp, bytes: bytes.all });
        results.get(name)!.push(result);
        console.error(`${name}: ${result.speed.toFixed(1)} tokens/s, ${describe(result)}`);
      }
    const speeds = (name: Variant) => results.get(name)!.map(({ speed }) => speed);
    const rows = names
      .filter((name) => name !== 'plain LRU')
      .map((name) => ({
        name: name === 'all in memory' ? name : `half of the experts in memory, ${name}`,
        unit: 'tokens/s',
        peer: 'plain LRU, half in memory',
        ours: speeds(name),
        theirs: speeds('plain LRU'),
      }));
    const last = Object.fromEntries(names.map((name) => [name, results.get(name)!.at(-1)]));
    return {
      rows,
      notes: {
        ...notes,
        expertBytes: bytes.one,
        allExpertBytes: bytes.all,
        warmUp,
        steps: tokens.length - warmUp,
        last,
      },
    };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function describe({ use, read }: Turn): string {
  const share = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;
  const { needed, present, fetchedAhead, fetchedInVain } = use;
  const right = fetchedAhead - fetchedInVain;
  const guesses =
    fetchedAhead === 0
      ? ''
      : `, ${share(right, needed - present + right)} of the missing ones guessed, ${share(fetchedInVain, fetchedAhead)} of guesses in vain`;
  const disk = read === undefined ? '' : `, ${(read / 1e6).toFixed(1)} MB read per token`;
  return `${share(present, needed)} of the needed there${guesses}${disk}`;
}
