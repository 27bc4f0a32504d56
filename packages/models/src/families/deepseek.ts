import type { RoutingOptions } from '@frugal/moe';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { buildDecoder } from '../build-decoder.js';
import { ConfigReader, ModelConfigError } from '../config-reader.js';
import { denseShape, readStandard, routable, type StandardConfig } from '../decoder-config.js';
import type { BlockShape, DecoderShape, LatentShape, MixtureShape } from '../decoder-shape.js';
import { readRope } from '../rope-config.js';
import type { Family, NameMap } from './family.js';
import { decoderGgufNames, expertGgufNames } from './gguf-names.js';
import { decoderNames, expertNames, gatedNames } from './hugging-face-names.js';
import { sparseDeepseek } from './sparse-configs.js';

/** What the two generations differ in. */
interface Generation {
  readonly contextLength: number;
  readonly firstSparse: number;
  readonly sharedExperts: number;
  readonly selectionBias: boolean;
  /** Whether a rotated pair lies side by side. */
  interleaves(config: ConfigReader): boolean;
  /** Biases of the MLPs. */
  mlpBias(config: ConfigReader): boolean;
  routing(config: ConfigReader): RoutingOptions;
  /** How many blocks predict further tokens. */
  predictions(config: ConfigReader): number;
}

const second: Generation = {
  contextLength: 2048,
  firstSparse: 0,
  sharedExperts: 2,
  selectionBias: false,
  interleaves(config) {
    config.only('rope_interleave', true); // transformers does not read it
    return true;
  },
  mlpBias: (config) => config.boolean('mlp_bias', false),
  routing(config) {
    const method = config.oneOf('topk_method', ['greedy', 'group_limited_greedy'], 'greedy');
    config.oneOf('scoring_func', ['softmax'], 'softmax');
    // The first code of DeepSeek and transformers disagree about it: no released model sets it.
    config.only('norm_topk_prob', false);
    const [count, chosen] = ['n_group', 'topk_group'].map((name) => config.integerOrNull(name, null));
    return {
      chosen: config.integer('num_experts_per_tok'),
      gate: 'softmax',
      normalize: false,
      scale: config.number('routed_scaling_factor', 1),
      groups: method === 'greedy' ? null : { count: count ?? 1, chosen: chosen ?? 1, score: 'best' },
    };
  },
  predictions: () => 0,
};

const third: Generation = {
  contextLength: 4096,
  firstSparse: 3,
  sharedExperts: 1,
  selectionBias: true,
  interleaves: (config) => config.boolean('rope_interleave', true),
  mlpBias: () => false,
  routing(config) {
    config.oneOf('topk_method', ['noaux_tc'], 'noaux_tc');
    config.oneOf('scoring_func', ['sigmoid'], 'sigmoid');
    return {
      chosen: config.integer('num_experts_per_tok', 8),
      gate: 'sigmoid',
      normalize: config.boolean('norm_topk_prob', true),
      scale: config.number('routed_scaling_factor', 2.5),
      groups: {
        count: config.integer('n_group', 8),
        chosen: config.integer('topk_group', 4),
        score: 'bestTwo',
      },
    };
  },
  predictions: readPredictions,
};

function readConfig(json: ModelConfig, generation: Generation): DecoderShape {
  const config = new ConfigReader(json);
  // Saved by transformers, and not what they say: the sizes of heads are below.
  config.ignore('head_dim', 'qk_head_dim');
  const standard = readStandard(config, { contextLength: generation.contextLength });
  const { attention, contextLength } = readAttention(config, standard, generation);
  const mixture = routable(readMixture(config, standard, generation), expertField(config));
  const mlpBias = generation.mlpBias(config);
  if (mlpBias && mixture.sharedSize === 0) {
    throw new ModelConfigError({
      where: 'config.json',
      what: 'fields mlp_bias and n_shared_experts: shared experts that there are not have biases in transformers',
      got: 'true and 0',
      expected: 'mlp_bias false, or shared experts',
    });
  }
  const firstSparse = config.count('first_k_dense_replace', generation.firstSparse);
  const predictions = generation.predictions(config);
  config.only('moe_layer_freq', 1);
  config.ignore('ep_size', 'output_router_logits');
  config.finish();
  const sparse: BlockShape = { attention, mlp: { ...mixture, sharedBias: mlpBias } };
  const dense: BlockShape = { attention, mlp: denseShape(standard, mlpBias) };
  return {
    ...standard,
    contextLength,
    configNames: { experts: 'n_routed_experts' },
    blocks: Array.from({ length: standard.layers }, (_, i) => (i >= firstSparse ? sparse : dense)),
    predictionBlocks: new Array(predictions).fill(sparse),
  };
}

function readAttention(
  config: ConfigReader,
  { heads, keyHeads, contextLength: length }: StandardConfig,
  { interleaves }: Generation,
): { attention: LatentShape; contextLength: number } {
  if (keyHeads !== heads) {
    throw new ModelConfigError({
      where: 'config.json',
      what: 'latent attention has one key per head: field num_key_value_heads',
      got: String(keyHeads),
      expected: `${heads}, as num_attention_heads`,
    });
  }
  const plainSize = config.integer('qk_nope_head_dim', 128);
  const rotarySize = config.integer('qk_rope_head_dim', 64);
  const interleaved = interleaves(config);
  const { rotary, contextLength, scoreFactor } = readRope(config, rotarySize, {
    contextLength: length,
    interleaved,
    sizeField: 'qk_rope_head_dim',
  });
  const attention: LatentShape = {
    kind: 'latent',
    heads,
    queryRank: config.integerOrNull('q_lora_rank', 1536),
    latentSize: config.integer('kv_lora_rank', 512),
    plainSize,
    rotarySize,
    valueSize: config.integer('v_head_dim', 128),
    bias: config.boolean('attention_bias', false),
    rotary,
    scale: (plainSize + rotarySize) ** -0.5 * scoreFactor,
    epsilon: 1e-6, // of these two norms alone, whatever rms_norm_eps says
  };
  return { attention, contextLength };
}

function readMixture(
  config: ConfigReader,
  { activation }: StandardConfig,
  { routing, selectionBias, sharedExperts }: Generation,
): MixtureShape {
  const size = config.integer('moe_intermediate_size');
  const weight = config.number('aux_loss_alpha', 0);
  const perSequence = config.boolean('seq_aux', true);
  return {
    kind: 'mixture',
    experts: config.integer(expertField(config)),
    size,
    sharedSize: size * (config.countOrNull('n_shared_experts', sharedExperts) ?? 0),
    activation,
    selectionBias,
    routing: routing(config),
    balance: perSequence ? { sequenceLoss: weight } : { switchLoss: weight },
  };
}

/** Newer configs call the number of experts as other families do. */
const expertField = (config: ConfigReader) =>
  ['num_experts', 'num_local_experts'].find((name) => config.has(name) && !config.has('n_routed_experts')) ??
  'n_routed_experts';

/** DeepSeek's word and transformers' one. @throws ModelConfigError when they disagree */
function readPredictions(config: ConfigReader): number {
  const said = config.count('num_nextn_predict_layers', 0);
  const count = config.count('num_mtp_layers', said);
  if (count === said || !config.has('num_nextn_predict_layers')) return count;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'fields num_mtp_layers and num_nextn_predict_layers disagree',
    got: `${count} and ${said}`,
    expected: 'the same number, or one of them alone',
  });
}

function blockNames(ours: string, theirs: string): NameMap {
  return [
    [`${ours}.attentionNorm`, `${theirs}.input_layernorm`],
    [`${ours}.mlpNorm`, `${theirs}.post_attention_layernorm`],
    [`${ours}.attention.query`, `${theirs}.self_attn.q_proj`],
    [`${ours}.attention.queryDown`, `${theirs}.self_attn.q_a_proj`],
    [`${ours}.attention.queryNorm`, `${theirs}.self_attn.q_a_layernorm`],
    [`${ours}.attention.queryUp`, `${theirs}.self_attn.q_b_proj`],
    [`${ours}.attention.latentDown`, `${theirs}.self_attn.kv_a_proj_with_mqa`],
    [`${ours}.attention.latentNorm`, `${theirs}.self_attn.kv_a_layernorm`],
    [`${ours}.attention.latentUp`, `${theirs}.self_attn.kv_b_proj`],
    [`${ours}.attention.output`, `${theirs}.self_attn.o_proj`],
    [`${ours}.mlp.router.selectionBias`, `${theirs}.mlp.gate.e_score_correction_bias`],
    ...expertNames(`${ours}.mlp`, `${theirs}.mlp`),
    ...gatedNames(`${ours}.mlp.shared`, `${theirs}.mlp.shared_experts`),
    ...gatedNames(`${ours}.mlp`, `${theirs}.mlp`),
  ];
}

const ggufNames: NameMap = [
  ['blocks.*.attention.queryDown', 'blk.*.attn_q_a'],
  ['blocks.*.attention.queryNorm', 'blk.*.attn_q_a_norm'],
  ['blocks.*.attention.queryUp', 'blk.*.attn_q_b'],
  ['blocks.*.attention.latentDown', 'blk.*.attn_kv_a_mqa'],
  ['blocks.*.attention.latentNorm', 'blk.*.attn_kv_a_norm'],
  ['blocks.*.attention.latentUp', 'blk.*.attn_kv_b'],
  ...expertGgufNames,
  ...decoderGgufNames,
];

/** Blocks that predict further tokens are stored as layers behind the last one. */
function predictionNames(config: ModelConfig): NameMap {
  const count = predictionCount(config);
  return Array.from({ length: count }, (_, i): NameMap => {
    const [ours, theirs] = [`extraBlocks.${i}`, predictionLayer(config, i)];
    return [
      [`${ours}.tokenNorm`, `${theirs}.enorm`],
      [`${ours}.hiddenNorm`, `${theirs}.hnorm`],
      [`${ours}.merge`, `${theirs}.eh_proj`],
      [`${ours}.norm`, `${theirs}.shared_head.norm`],
      ...blockNames(`${ours}.block`, theirs),
    ];
  }).flat();
}

const predictionLayer = (config: ModelConfig, index: number) =>
  `model.layers.${Number(config.num_hidden_layers) + index}`;

const predictionCount = (config: ModelConfig) =>
  Number(config.num_mtp_layers ?? config.num_nextn_predict_layers ?? 0);

/** DeepSeek-V2 and V2-Lite (arXiv:2405.04434): latent attention, shared and routed experts. */
export const deepseekV2: Family = {
  architectures: ['DeepseekV2ForCausalLM'],
  modelType: 'deepseek_v2',
  build: (config, initialize) => buildDecoder(readConfig(config, second), config, initialize),
  names: () => [...decoderNames, ...blockNames('blocks.*', 'model.layers.*')],
  ggufNames: () => ggufNames,
};

/** DeepSeek-V3 and R1 (arXiv:2412.19437): balancing by a bias in the router, and prediction of further tokens. */
export const deepseekV3: Family = {
  architectures: ['DeepseekV3ForCausalLM'],
  modelType: 'deepseek_v3',
  build: (config, initialize) => buildDecoder(readConfig(config, third), config, initialize),
  names: (config) => [
    ...decoderNames,
    ...predictionNames(config),
    ...blockNames('blocks.*', 'model.layers.*'),
  ],
  ggufNames: () => ggufNames,
  toSparse: (config, experts) => sparseDeepseek(config, experts),
  // transformers writes the number of prediction blocks, but not their weights.
  fit(config, has) {
    const count = predictionCount(config);
    const stored = Array.from({ length: count }, (_, i) =>
      has(`${predictionLayer(config, i)}.eh_proj.weight`),
    );
    if (count === 0 || stored.every(Boolean)) return config;
    const { num_mtp_layers: _, ...rest } = config;
    return { ...rest, num_nextn_predict_layers: Math.max(0, stored.indexOf(false)) };
  },
  // Prediction blocks come with copies of the embedding and the head.
  repeats: (name) => /^model\.layers\.\d+\.(embed_tokens|shared_head\.head)\.weight$/.test(name),
};
