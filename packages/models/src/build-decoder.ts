import { Experts, MixtureOfExperts, Router, SharedGate } from '@frugal/moe';
import {
  Attention,
  type CacheLayerSpec,
  GatedMLP,
  Linear,
  type LogitHead,
  type ModelConfig,
  type RotaryEmbedding,
} from '@frugal/tensor-core/nn';
import { CappedHead } from './capped-head.js';
import { decoderCouplings, decoderNormGroups } from './couplings.js';
import { DecoderBlock, DecoderModel } from './decoder.js';
import type {
  BlockShape,
  DecoderShape,
  DenseShape,
  HeadsShape,
  LatentShape,
  MixtureShape,
} from './decoder-shape.js';
import type { Initializer } from './families/family.js';
import { LatentAttention, type LatentQuery } from './latent-attention.js';
import { LayerMaker } from './layer-maker.js';
import { PredictionBlock } from './prediction-block.js';

/** The modules of a decoder of the given shape. Parameter paths are the same for all families. */
export function buildDecoder(
  shape: DecoderShape,
  config: ModelConfig,
  initialize: Initializer,
): DecoderModel {
  const { hiddenSize, vocabularySize, predictionBlocks = [] } = shape;
  const make = new LayerMaker(initialize, shape.epsilon, shape.normOffset);
  const embed = make.embedding('embed', vocabularySize, hiddenSize);
  const blocks = shape.blocks.map((block, i) => buildBlock(make, `blocks.${i}`, hiddenSize, block, i));
  const norm = make.norm('norm', hiddenSize);
  const headPath = shape.logitSoftCap ? 'head.linear' : 'head';
  const linear = new Linear(
    shape.tied ? embed.weight : initialize(`${headPath}.weight`, [vocabularySize, hiddenSize], 'embedding'),
  );
  const head: LogitHead = shape.logitSoftCap ? new CappedHead(linear, shape.logitSoftCap) : linear;
  const model: DecoderModel = new DecoderModel(embed, blocks, norm, head, {
    config,
    contextLength: shape.contextLength,
    rotaries: rotariesOf([...shape.blocks, ...predictionBlocks]),
    cacheSpec: [...shape.blocks, ...predictionBlocks].map(cacheLayer),
    ties: shape.tied ? [{ path: `${headPath}.weight`, source: 'embed.weight' }] : [],
    couplings: decoderCouplings(shape),
    normGroups: decoderNormGroups(shape),
    embeddingScale: shape.embeddingScale,
    extraBlocks: predictionBlocks.map((block, i) =>
      buildPrediction(make, i, shape, block, () => model.embed),
    ),
  });
  return model;
}

function buildBlock(
  make: LayerMaker,
  path: string,
  hiddenSize: number,
  { attention, mlp, postNorms = false }: BlockShape,
  layer: number,
): DecoderBlock {
  const norm = (name: string) => make.norm(`${path}.${name}`, hiddenSize);
  return new DecoderBlock({
    attentionNorm: norm('attentionNorm'),
    attention:
      attention.kind === 'heads'
        ? buildAttention(make, `${path}.attention`, hiddenSize, attention, layer)
        : buildLatent(make, `${path}.attention`, hiddenSize, attention, layer),
    attentionPostNorm: postNorms ? norm('attentionPostNorm') : null,
    mlpNorm: norm('mlpNorm'),
    mlp:
      mlp.kind === 'dense'
        ? buildGated(make, `${path}.mlp`, hiddenSize, mlp)
        : buildMixture(make, `${path}.mlp`, hiddenSize, mlp),
    mlpPostNorm: postNorms ? norm('mlpPostNorm') : null,
  });
}

export function buildAttention(
  make: LayerMaker,
  path: string,
  hiddenSize: number,
  shape: HeadsShape,
  layer: number,
): Attention {
  const {
    heads,
    keyHeads,
    headSize,
    bias,
    headNorms = false,
    rotary,
    window,
    scale,
    softCap,
    causal = true,
  } = shape;
  const input = (name: string, count: number) =>
    make.linear(`${path}.${name}`, [hiddenSize, count * headSize], { bias: bias.input });
  return new Attention({
    query: input('query', heads),
    key: input('key', keyHeads),
    value: input('value', keyHeads),
    output: make.linear(`${path}.output`, [heads * headSize, hiddenSize], {
      bias: bias.output,
      output: true,
    }),
    queryNorm: headNorms ? make.norm(`${path}.queryNorm`, headSize) : null,
    keyNorm: headNorms ? make.norm(`${path}.keyNorm`, headSize) : null,
    layer,
    headSize,
    rotary,
    window,
    softCap,
    causal,
    ...(scale !== undefined && { scale }),
  });
}

function buildLatent(
  make: LayerMaker,
  path: string,
  hiddenSize: number,
  shape: LatentShape,
  layer: number,
): LatentAttention {
  const { heads, queryRank, latentSize, plainSize, rotarySize, valueSize, bias, epsilon } = shape;
  const querySize = heads * (plainSize + rotarySize);
  const query: LatentQuery =
    queryRank === null
      ? { query: make.linear(`${path}.query`, [hiddenSize, querySize]) }
      : {
          queryDown: make.linear(`${path}.queryDown`, [hiddenSize, queryRank], { bias }),
          queryNorm: make.norm(`${path}.queryNorm`, queryRank, epsilon),
          queryUp: make.linear(`${path}.queryUp`, [queryRank, querySize]),
        };
  return new LatentAttention(
    {
      query,
      latentDown: make.linear(`${path}.latentDown`, [hiddenSize, latentSize + rotarySize], { bias }),
      latentNorm: make.norm(`${path}.latentNorm`, latentSize, epsilon),
      latentUp: make.linear(`${path}.latentUp`, [latentSize, heads * (plainSize + valueSize)]),
      output: make.linear(`${path}.output`, [heads * valueSize, hiddenSize], { bias, output: true }),
    },
    shape,
    layer,
  );
}

export function buildGated(
  make: LayerMaker,
  path: string,
  hiddenSize: number,
  { size, bias, activation }: Omit<DenseShape, 'kind'>,
): GatedMLP {
  return new GatedMLP(
    make.linear(`${path}.gate`, [hiddenSize, size], { bias }),
    make.linear(`${path}.up`, [hiddenSize, size], { bias }),
    make.linear(`${path}.down`, [size, hiddenSize], { bias, output: true }),
    activation,
  );
}

function buildMixture(
  make: LayerMaker,
  path: string,
  hiddenSize: number,
  shape: MixtureShape,
): MixtureOfExperts {
  const {
    experts,
    size,
    sharedSize,
    sharedBias = false,
    sharedGate = false,
    activation,
    routing,
    selectionBias,
    balance,
  } = shape;
  const router = `${path}.router`;
  return new MixtureOfExperts(
    new Router(
      make.initialize(`${router}.weight`, [experts, hiddenSize], 'input-projection'),
      routing,
      selectionBias ? make.initialize(`${router}.selectionBias`, [experts], 'bias') : null,
    ),
    new Experts(
      make.stacked(`${path}.experts.gate`, experts, [hiddenSize, size]),
      make.stacked(`${path}.experts.up`, experts, [hiddenSize, size]),
      make.stacked(`${path}.experts.down`, experts, [size, hiddenSize], { output: true }),
      activation,
    ),
    sharedSize > 0
      ? buildGated(make, `${path}.shared`, hiddenSize, { size: sharedSize, bias: sharedBias, activation })
      : null,
    {
      path,
      balance,
      sharedGate: sharedGate
        ? new SharedGate(make.initialize(`${path}.sharedGate.weight`, [1, hiddenSize], 'input-projection'))
        : null,
    },
  );
}

function buildPrediction(
  make: LayerMaker,
  index: number,
  { hiddenSize, blocks }: DecoderShape,
  shape: BlockShape,
  embed: () => DecoderModel['embed'],
): PredictionBlock {
  const path = `extraBlocks.${index}`;
  return new PredictionBlock(
    {
      tokenNorm: make.norm(`${path}.tokenNorm`, hiddenSize),
      hiddenNorm: make.norm(`${path}.hiddenNorm`, hiddenSize),
      merge: make.linear(`${path}.merge`, [2 * hiddenSize, hiddenSize]),
      block: buildBlock(make, `${path}.block`, hiddenSize, shape, blocks.length + index),
      norm: make.norm(`${path}.norm`, hiddenSize),
    },
    embed,
  );
}

function cacheLayer({ attention }: BlockShape): CacheLayerSpec {
  if (attention.kind === 'latent')
    return { parts: [{ name: 'latent', shape: [1, attention.latentSize + attention.rotarySize] }] };
  const shape = [attention.keyHeads, attention.headSize];
  return { parts: ['key', 'value'].map((name) => ({ name, shape })), window: attention.window };
}

function rotariesOf(blocks: readonly BlockShape[]): RotaryEmbedding[] {
  const rotaries = blocks.map(({ attention }) => attention.rotary);
  return [...new Set(rotaries)].filter((rotary) => rotary !== null);
}
