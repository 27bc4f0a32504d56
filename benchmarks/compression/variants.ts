import type { ModifierSpec } from '@frugal/compress';

/** Stages of a recipe, or the name of a preset. */
export type Stages = readonly (readonly ModifierSpec[])[] | string;

/** One way to compress, by its name in the table. */
export interface Variant {
  readonly name: string;
  readonly group: 'dense' | 'int8' | 'int4' | 'q4_k' | 'sparse' | 'recovered';
  readonly stages: Stages;
  /** Decode speed is measured: once for everything that runs alike. */
  readonly speed?: true;
}

const blocks = { include: ['blocks.**'] };
const everything = { include: ['**'] };

const head: ModifierSpec = {
  type: 'quant.rtn',
  targets: { include: ['head'] },
  format: 'int8-channel',
  activation: 'none',
};

export function rounded(format: string, options: object = {}): ModifierSpec {
  return { type: 'quant.rtn', targets: blocks, format, ...options };
}

/** All matrices in 8 bits, activations as they are. */
export const int8Weights: readonly ModifierSpec[] = [
  { ...rounded('int8-channel', { activation: 'none' }), targets: everything },
];

const w8a8 = [rounded('int8-channel', { activation: 'int8' }), head];

/** Hadamard matrices before every layer, or before those alone that no rotation of the residual stream reaches. */
const turned = [rounded('int8-channel-hadamard', { activation: 'int8' }), head];
const downs = { include: ['blocks.*.mlp.down'] };
const turnedDowns = [
  { ...rounded('int8-channel', { activation: 'int8' }), targets: { ...blocks, exclude: downs.include } },
  { ...rounded('int8-channel-hadamard', { activation: 'int8' }), targets: downs },
  head,
];

/** Zeros by a method, then packed with values in 8 bits, so that bytes and speed count. */
export function pruned(method: string, sparsity: number | string): ModifierSpec[][] {
  return [[{ type: `prune.${method}`, targets: blocks, sparsity }], packedSparse(sparsity)];
}

function packedSparse(sparsity: number | string): ModifierSpec[] {
  const format = typeof sparsity === 'string' ? `${sparsity}-int8` : 'bitmap-int8';
  return [rounded(format), head];
}

/** As in the preset `int4-awq`. */
const clippable = { ...blocks, exclude: ['blocks.**.query', 'blocks.**.key'] };

const rotated: ModifierSpec = { type: 'quant.rotate', targets: everything, seed: 0 };

const distil: ModifierSpec = { type: 'distill.logits', targets: { include: ['blocks.*'] } };

export const pruningMethods = ['magnitude', 'wanda', 'sparsegpt'] as const;

/** Everything that the table of a model shows. */
export function variants(): Variant[] {
  const int4 = [32, 64].flatMap((size): Variant[] => {
    const format = `int4-g${size}`;
    const speed = size === 64 ? ({ speed: true } as const) : {};
    return [
      { name: `${format} nearest`, group: 'int4', stages: [[rounded(format), head]] },
      {
        name: `${format} GPTQ`,
        group: 'int4',
        stages: [[{ type: 'quant.gptq', targets: blocks, format, actOrder: true }, head]],
        ...speed,
      },
      {
        name: `${format} AWQ`,
        group: 'int4',
        stages: [
          [{ type: 'quant.awq', targets: blocks, bits: 4, groupSize: size }],
          [{ type: 'quant.clip', targets: clippable, bits: 4, groupSize: size }, rounded(format), head],
        ],
      },
    ];
  });
  const q4k = (['none', 'calibration'] as const).map((importance): Variant => {
    const kind = { type: 'quant.gguf', targets: blocks, format: 'q4_k', fallback: 'q5_0', importance };
    const name = importance === 'none' ? 'q4_k without importance' : 'q4_k with importance';
    return { name, group: 'q4_k', stages: [[kind, head]], ...(importance !== 'none' && { speed: true }) };
  });
  const sparse = [0.5, '2:4'].flatMap((sparsity) =>
    pruningMethods.map(
      (method): Variant => ({
        name: `${sparsityName(sparsity)} ${method}`,
        group: 'sparse',
        stages: pruned(method, sparsity),
        // How fast zeros are does not depend on who chose them.
        ...(method === 'magnitude' && { speed: true }),
      }),
    ),
  );
  const recovered = [0.5, '2:4'].map((sparsity): Variant => {
    const [prune, pack] = pruned('sparsegpt', sparsity);
    return {
      name: `${sparsityName(sparsity)} sparsegpt, distilled`,
      group: 'recovered',
      stages: [prune, [distil], pack],
    };
  });
  return [
    { name: 'dense', group: 'dense', stages: [], speed: true },
    {
      name: 'int8 weights',
      group: 'int8',
      stages: [int8Weights],
    },
    { name: 'w8a8 plain', group: 'int8', stages: [w8a8], speed: true },
    {
      name: 'w8a8 SmoothQuant',
      group: 'int8',
      stages: [[{ type: 'quant.smooth', targets: blocks, strength: 0.5 }], w8a8],
    },
    {
      name: 'w8a8 rotation',
      group: 'int8',
      stages: [[rotated], w8a8],
    },
    {
      // Rotation evens out the residual stream, and leaves what the down projections read as it is.
      name: 'w8a8 rotation, SmoothQuant of MLPs',
      group: 'int8',
      stages: [
        [rotated],
        [{ type: 'quant.smooth', targets: { include: ['blocks.*.mlp'] }, strength: 0.5 }],
        w8a8,
      ],
    },
    {
      name: 'w8a8 rotation, Hadamard before down',
      group: 'int8',
      stages: [[rotated], turnedDowns],
      speed: true,
    },
    { name: 'w8a8 Hadamard before all', group: 'int8', stages: [turned], speed: true },
    ...int4,
    ...q4k,
    ...sparse,
    ...recovered,
    { name: 'preset deepseek-cheap', group: 'recovered', stages: 'deepseek-cheap' },
  ];
}

function sparsityName(sparsity: number | string): string {
  return typeof sparsity === 'number' ? `${sparsity * 100} %` : sparsity;
}
