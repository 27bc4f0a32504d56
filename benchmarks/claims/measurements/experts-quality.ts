import { SequenceSampler } from '@frugal/data';
import { countParameters, type PairedDifference, pairedBootstrap } from '@frugal/eval';
import type { Laboratory } from '@frugal/example-pretrain-distill-deploy/steps';
import { createModel } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import {
  createOptimizer,
  languageModelLoss,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
} from '@frugal/trainer';
import { operationsPerToken } from '../../shared/operations.js';
import { bitsPerByte, type DocumentScore, paired, scoreDocuments } from '../corpus.js';
import { mainData } from '../main-job.js';
import type { Setting } from '../part.js';

interface Arm {
  readonly parameters: number;
  readonly operations: number;
  readonly bitsPerByte: number;
}

export interface ExpertsQuality {
  readonly tokens: number;
  readonly sparse: Arm;
  readonly dense: Arm;
  /** Bits per byte of the sparse model above those of the dense one. */
  readonly loss: PairedDifference;
}

const [EXPERTS, CHOSEN, NEURONS] = [8, 2, 96] as const;

/** Two small models, trained alike: 8 experts of which 2 run and one shared, and one dense layer with as many weights. */
export async function measureExpertsQuality(setting: Setting): Promise<ExpertsQuality> {
  const laboratory = await mainData(setting);
  const tokens = setting.quick ? 20_000 : 200_000;
  const dense = await trained('dense', { ...denseConfig(laboratory) }, laboratory, tokens);
  const sparse = await trained('sparse', { ...sparseConfig(laboratory) }, laboratory, tokens);
  return {
    ...{ tokens, sparse: sparse.arm, dense: dense.arm },
    loss: pairedBootstrap(paired(sparse.scores, dense.scores)),
  };
}

function sizesOf({ settings, data }: Laboratory) {
  return {
    hidden_size: 192,
    num_hidden_layers: 4,
    num_attention_heads: 3,
    num_key_value_heads: 3,
    vocab_size: data.tokenizer.vocabularySize,
    max_position_embeddings: settings.context,
    tie_word_embeddings: true,
  };
}

const denseConfig = (laboratory: Laboratory) => ({
  ...sizesOf(laboratory),
  architectures: ['LlamaForCausalLM'],
  intermediate_size: (EXPERTS + 1) * NEURONS,
});

const sparseConfig = (laboratory: Laboratory) => ({
  ...sizesOf(laboratory),
  architectures: ['Qwen2MoeForCausalLM'],
  intermediate_size: NEURONS,
  moe_intermediate_size: NEURONS,
  shared_expert_intermediate_size: NEURONS,
  num_experts: EXPERTS,
  num_experts_per_tok: CHOSEN,
  norm_topk_prob: true,
  router_aux_loss_coef: 0.01,
  qkv_bias: false,
});

/** Both arms see the same batches with the same rates. */
async function trained(
  label: string,
  config: Readonly<Record<string, unknown>>,
  { settings: { sequence, batch, seed, teacher, precision }, data }: Laboratory,
  tokens: number,
): Promise<{ readonly arm: Arm; readonly scores: DocumentScore[] }> {
  const model: CausalLM = createModel(config, { seed });
  const steps = Math.ceil(tokens / (sequence * batch));
  const bar = progressBar({ label });
  const events = train({
    ...{ model, steps, precision, clipNorm: 1 },
    batches: new SequenceSampler(data.training.tokens, { length: sequence, batch, seed }),
    loss: languageModelLoss(model),
    optimizer: createOptimizer(muonWithAdamW({ dtype: precision })),
    schedule: schedules.linear({ peak: teacher.learningRate, steps, warmup: Math.ceil(0.05 * steps) }),
  });
  for await (const event of events) bar.update(event);
  bar.close();
  const scores: DocumentScore[] = [];
  for (const [, texts] of data.heldOut)
    scores.push(...(await scoreDocuments(model, data.tokenizer, texts, sequence)));
  const arm = {
    parameters: countParameters(model),
    operations: operationsPerToken(model),
    bitsPerByte: bitsPerByte(scores),
  };
  model.dispose();
  return { arm, scores };
}
