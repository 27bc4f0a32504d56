import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SequenceSampler } from '@frugal/data';
import { createModel, loadModel, saveModel } from '@frugal/models';
import type { CausalLM, ModelConfig } from '@frugal/tensor-core/nn';
import { loadTokenizer, type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import {
  createOptimizer,
  languageModelLoss,
  multiTokenLoss,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
} from '@frugal/trainer';

/** Where trained models stay. */
const FOLDER = process.env.FRUGAL_BENCH_CACHE ?? '.cache/drafts';
const LENGTH = 128;
const CONTEXT = 512;
const RECORDS = 20_000;

/** A model that predicts one token further, a smaller one of the same text, and their tokenizer. */
export interface RegularModels {
  readonly tokenizer: Tokenizer;
  readonly model: CausalLM;
  readonly small: CausalLM;
}

/**
 * DeepSeek V3's attention and prediction block over 8 dense layers, 16 M parameters, and a Llama of two layers and 0.8 M: trained on
 * the records of {@link regularText} the first time, in some minutes of two threads.
 */
export async function regularModels(): Promise<RegularModels> {
  const tokenizer = existsSync(join(FOLDER, 'model'))
    ? await loadTokenizer(join(FOLDER, 'model'))
    : trainByteLevelBpe([regularText(2000, 1)], { vocabularySize: 1024 });
  const tokens = tokenizer.encode(regularText(RECORDS, 2));
  const kept = (name: string, config: ModelConfig, steps: number) =>
    trained(join(FOLDER, name), { ...config, ...common(tokenizer) }, { tokenizer, tokens, steps });
  return { tokenizer, model: await kept('model', deepseek, 300), small: await kept('small', llama, 300) };
}

const common = ({ vocabularySize }: Tokenizer) => ({
  vocab_size: vocabularySize,
  max_position_embeddings: CONTEXT,
  tie_word_embeddings: false,
});

const deepseek = {
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  hidden_size: 384,
  intermediate_size: 1024,
  num_hidden_layers: 8,
  first_k_dense_replace: 9,
  num_nextn_predict_layers: 1,
  num_attention_heads: 6,
  num_key_value_heads: 6,
  q_lora_rank: null,
  kv_lora_rank: 128,
  qk_nope_head_dim: 32,
  qk_rope_head_dim: 32,
  v_head_dim: 64,
  n_routed_experts: 4,
  n_shared_experts: 1,
  num_experts_per_tok: 2,
  moe_intermediate_size: 128,
  n_group: 2,
  topk_group: 1,
};

const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 4,
};

interface Course {
  readonly tokenizer: Tokenizer;
  readonly tokens: Int32Array;
  readonly steps: number;
}

async function trained(
  folder: string,
  config: ModelConfig,
  { tokenizer, tokens, steps }: Course,
): Promise<CausalLM> {
  if (existsSync(folder)) return loadModel(folder);
  const model = createModel(config, { seed: 1 });
  const bar = progressBar({ label: folder });
  const events = train({
    ...{ model, steps, precision: 'bf16', clipNorm: 1 },
    batches: new SequenceSampler(tokens, { length: LENGTH, batch: 8, seed: 1 }),
    loss: model.extraBlocks.length > 0 ? multiTokenLoss(model) : languageModelLoss(model),
    optimizer: createOptimizer(muonWithAdamW({ dtype: 'bf16' })),
    schedule: schedules.cosine({ peak: 1e-2, steps, warmup: 20 }),
  });
  for await (const event of events) bar.update(event);
  bar.close();
  await saveModel(model, folder, { tokenizerFiles: tokenizer.files() });
  return model;
}

const NAMES = ['Anna', 'Boris', 'Chen', 'Dora', 'Emil', 'Fatima', 'Georg', 'Hana'];
const GOODS = ['blue lamps', 'oak chairs', 'copper pans', 'wool blankets', 'glass bowls', 'paper kites'];
const CITIES = ['Oslo', 'Lima', 'Kyoto', 'Accra', 'Turin', 'Perth'];

/** Records of a warehouse: one form, and what follows from what was said before (names, goods, sums). */
export function regularText(records: number, seed: number): string {
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 9) % limit;
  };
  return Array.from({ length: records }, () => {
    const [name, goods, city] = [NAMES[below(8)], GOODS[below(6)], CITIES[below(6)]];
    const [count, price] = [2 + below(8), 3 + below(7)];
    return (
      `Order for ${name} in ${city}: ${count} ${goods} at ${price} coins each.\n` +
      `The price of ${count} ${goods} is ${count * price} coins. ${name} pays ${count * price} coins on delivery in ${city}.\n`
    );
  }).join('');
}
