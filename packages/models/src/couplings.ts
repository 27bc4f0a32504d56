import type { Coupling, CouplingMember, ModelConfig, NormGroup } from '@frugal/tensor-core/nn';
import {
  type BlockShape,
  type ConfigNames,
  configNamesOf,
  type DecoderShape,
  type HeadsShape,
  type LatentShape,
  type MixtureShape,
} from './decoder-shape.js';

const rows = (path: string, entriesPerUnit = 1): CouplingMember => ({ path, axis: 'rows', entriesPerUnit });
const columns = (path: string, entriesPerUnit = 1): CouplingMember => ({
  path,
  axis: 'columns',
  entriesPerUnit,
});

/** Everything in a decoder that must change together when it shrinks. */
export function decoderCouplings(shape: DecoderShape): Coupling[] {
  const names = configNamesOf(shape);
  return [
    ...blockPaths(shape).flatMap(([path, block]) => blockCouplings(path, block, names)),
    ...residual(shape),
  ];
}

/** Paths of all blocks with attention and MLP, those that predict further tokens included. */
function blockPaths({ blocks, predictionBlocks = [] }: DecoderShape): (readonly [string, BlockShape])[] {
  return [
    ...blocks.map((block, i) => [`blocks.${i}`, block] as const),
    ...predictionBlocks.map((block, i) => [`extraBlocks.${i}.block`, block] as const),
  ];
}

function blockCouplings(path: string, { attention, mlp }: BlockShape, names: ConfigNames): Coupling[] {
  const ofAttention =
    attention.kind === 'heads'
      ? [headCoupling(`${path}.attention`, attention)]
      : latentCouplings(`${path}.attention`, attention);
  const ofMlp =
    mlp.kind === 'dense'
      ? [neurons(`${path}.mlp`, mlp.size, (size) => ({ [names.feedForward]: size }))]
      : mixtureCouplings(`${path}.mlp`, mlp, names);
  return [...ofMlp, ...ofAttention];
}

/** Unit: one neuron of a gated MLP. */
export function neurons(path: string, units: number, config: Coupling['config']): Coupling {
  const members = [rows(`${path}.gate`), rows(`${path}.up`), columns(`${path}.down`)];
  return { kind: 'ffn', path, units, members, linear: `${path}.up`, config };
}

/** Unit: one key head with its query heads. */
export function headCoupling(path: string, { heads, keyHeads, headSize }: HeadsShape): Coupling {
  const group = heads / keyHeads;
  return {
    kind: 'attention',
    path,
    units: keyHeads,
    members: [
      rows(`${path}.query`, group * headSize),
      rows(`${path}.key`, headSize),
      rows(`${path}.value`, headSize),
      columns(`${path}.output`, group * headSize),
    ],
    config: (units) => ({
      num_attention_heads: units * group,
      num_key_value_heads: units,
      head_dim: headSize,
    }),
  };
}

/** Units: one head; one number of the latent vector. */
function latentCouplings(path: string, shape: LatentShape): Coupling[] {
  const { heads, queryRank, plainSize, rotarySize, valueSize, latentSize } = shape;
  const query = queryRank === null ? `${path}.query` : `${path}.queryUp`;
  return [
    {
      kind: 'attention',
      path,
      units: heads,
      members: [
        rows(query, plainSize + rotarySize),
        rows(`${path}.latentUp`, plainSize + valueSize),
        columns(`${path}.output`, valueSize),
      ],
      config: (units) => ({ num_attention_heads: units, num_key_value_heads: units }),
    },
    {
      // The rows of latentDown behind these make the rotary key: they stay.
      kind: 'cache',
      path: `${path}.latent`,
      units: latentSize,
      members: [rows(`${path}.latentDown`), rows(`${path}.latentNorm`), columns(`${path}.latentUp`)],
      config: (units) => ({ kv_lora_rank: units }),
    },
  ];
}

/** Units: one expert; one neuron of each expert, and of the shared ones. */
function mixtureCouplings(path: string, shape: MixtureShape, names: ConfigNames): Coupling[] {
  const { experts, size, sharedSize, routing } = shape;
  const { count: groups = 1, chosen: chosenGroups = 1, score } = routing.groups ?? {};
  const perGroup = Math.max(Math.ceil(routing.chosen / chosenGroups), score === 'bestTwo' ? 2 : 1);
  const stacks = ['gate', 'up', 'down'].map((name) => `${path}.experts.${name}`);
  const ofExpert = (e: number): Coupling => ({
    kind: 'ffn',
    path: `${path}.experts.${e}`,
    units: size,
    members: [
      rows(`${stacks[0]}.sites.${e}`),
      rows(`${stacks[1]}.sites.${e}`),
      columns(`${stacks[2]}.sites.${e}`),
    ],
    config: (units) => ({ [names.expertSize]: units }),
  });
  return [
    {
      // The first axis of a stack is the expert.
      kind: 'experts',
      path: `${path}.experts`,
      units: experts,
      least: groups * perGroup,
      groups,
      members: [rows(`${path}.router`), ...stacks.map((stack) => rows(stack))],
      config: (units) => ({ [names.experts]: units }),
    },
    ...Array.from({ length: experts }, (_, e) => ofExpert(e)),
    ...(sharedSize > 0 ? [neurons(`${path}.shared`, sharedSize, () => ({}))] : []),
  ];
}

/**
 * Unit: one channel of the residual stream. None where a layer reads it twice (prediction blocks) or the config derives
 * the scale of the embeddings from its size.
 */
function residual(shape: DecoderShape): Coupling[] {
  const { hiddenSize, tied, logitSoftCap, predictionBlocks = [], embeddingScale } = shape;
  if (predictionBlocks.length > 0 || embeddingScale !== undefined) return [];
  const head = tied ? [] : [columns(logitSoftCap ? 'head.linear' : 'head')];
  const members = [
    columns('embed'),
    ...blockPaths(shape).flatMap(([path, block]) => residualMembers(path, block)),
    rows('norm'),
    ...head,
  ];
  const config = (units: number): ModelConfig => ({ hidden_size: units, ...headSizeOf(shape) });
  return [{ kind: 'residual', path: 'residual', units: hiddenSize, members, config }];
}

/** Without it the head size would be derived from the hidden size. */
function headSizeOf({ blocks }: DecoderShape): ModelConfig {
  const [first] = blocks;
  return first?.attention.kind === 'heads' ? { head_dim: first.attention.headSize } : {};
}

function residualMembers(path: string, block: BlockShape): CouplingMember[] {
  const { read, written } = residualLayers(path, block);
  const norms = [
    'attentionNorm',
    'mlpNorm',
    ...(block.postNorms ? ['attentionPostNorm', 'mlpPostNorm'] : []),
  ];
  return [
    ...norms.map((name) => rows(`${path}.${name}`)),
    ...read.map((layer) => columns(layer)),
    ...written.map((layer) => rows(layer)),
  ];
}

/** Linear layers (and the gates of experts) that read the residual stream, and those that write into it. */
function residualLayers(path: string, block: BlockShape): { read: string[]; written: string[] } {
  const { mlp } = block;
  const read = attentionInputs(block).map((name) => `${path}.attention.${name}`);
  const written = [`${path}.attention.output`];
  const gated = (prefix: string) => {
    read.push(`${prefix}.gate`, `${prefix}.up`);
    written.push(`${prefix}.down`);
  };
  if (mlp.kind === 'dense') gated(`${path}.mlp`);
  else {
    read.push(`${path}.mlp.router`);
    if (mlp.sharedGate) read.push(`${path}.mlp.sharedGate`);
    for (let e = 0; e < mlp.experts; e++) {
      const site = (name: string) => `${path}.mlp.experts.${name}.sites.${e}`;
      read.push(site('gate'), site('up'));
      written.push(site('down'));
    }
    if (mlp.sharedSize > 0) gated(`${path}.mlp.shared`);
  }
  return { read, written };
}

function attentionInputs({ attention }: BlockShape): string[] {
  if (attention.kind === 'heads') return ['query', 'key', 'value'];
  return [attention.queryRank === null ? 'query' : 'queryDown', 'latentDown'];
}

/**
 * Norms with all layers that read their output. What feeds a router is left out: a scale that moves from such a norm
 * into weights would have to move into the router too, which compression leaves alone.
 */
export function decoderNormGroups(shape: DecoderShape): NormGroup[] {
  const groups = blockPaths(shape).flatMap(([path, block]) => {
    const { attention, mlp } = block;
    const inner = `${path}.attention`;
    return [
      { norm: `${path}.attentionNorm`, consumers: attentionInputs(block).map((name) => `${inner}.${name}`) },
      ...(attention.kind === 'latent'
        ? [
            ...(attention.queryRank === null
              ? []
              : [{ norm: `${inner}.queryNorm`, consumers: [`${inner}.queryUp`] }]),
            // The cache holds what this norm gives.
            { norm: `${inner}.latentNorm`, consumers: [`${inner}.latentUp`] },
          ]
        : []),
      ...(mlp.kind === 'dense'
        ? [{ norm: `${path}.mlpNorm`, consumers: ['gate', 'up'].map((name) => `${path}.mlp.${name}`) }]
        : []),
    ];
  });
  // Prediction blocks read the output of the final norm as well.
  const readsFinal = shape.tied || shape.logitSoftCap || shape.predictionBlocks?.length;
  return readsFinal ? groups : [...groups, { norm: 'norm', consumers: ['head'] }];
}
