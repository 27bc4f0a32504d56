import { type Checkpoint, isBlockDType, toFloat32 } from '@frugal/checkpoint';
import { formatShape, PackedTensor, sameShape } from '@frugal/tensor-core';
import { isReadOnlyFormat, readAsIntegerGroups } from '@frugal/tensor-core/formats';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';
import { toTheirs } from '../families/family.js';
import { familyOf } from '../registry.js';
import { pairedRows } from '../weights/row-order.js';
import { suitedActivation, type WeightSource } from '../weights/weight-source.js';
import type { GgufArchitecture } from './architecture.js';
import { deepseek2 } from './architectures/deepseek.js';
import { gemma2, gemma3 } from './architectures/gemma.js';
import { llama } from './architectures/llama.js';
import { qwen2, qwen3 } from './architectures/qwen.js';
import { qwen3Moe } from './architectures/qwen3-moe.js';
import { smolLm3 } from './architectures/smollm3.js';
import { GgufMetadataReader } from './metadata-reader.js';
import { modelTensors } from './model-tensors.js';

/** A new architecture is its file in `architectures/` and one entry here. */
const architectures: readonly GgufArchitecture[] = [
  llama,
  qwen2,
  qwen3,
  qwen3Moe,
  gemma2,
  gemma3,
  deepseek2,
  smolLm3,
];

export const ROPE_FACTORS = 'rope_freqs.weight';

/** Tensors that hold what the config says already. */
const derived = new Set([ROPE_FACTORS, 'rope_factors_long.weight', 'rope_factors_short.weight']);

/**
 * A GGUF file as the weights of a model. Block-quantised matrices stay as they are, but for types that are only read (IQ, TQ, MXFP4, …),
 * which become integer groups of the same numbers; rows of one block format are independent, so that even reordered queries and keys
 * stay packed.
 * @throws ModelConfigError for unknown architectures, and for metadata that nobody here understands
 */
export async function ggufWeights(checkpoint: Checkpoint): Promise<WeightSource> {
  const architecture = architectureOf(checkpoint);
  const tensors = modelTensors(checkpoint.tensors);
  const { entries } = tensors;
  const config = await ggufConfig(checkpoint);
  const ggufNames = familyOf(config).ggufNames?.(config);
  const nameOf = (path: string) => ggufNames && toTheirs(ggufNames, path);
  const orderOf = (path: string, rows: number) => {
    const order = architecture.rowOrder?.(path, config);
    return order ? pairedRows(rows, order.headSize) : null;
  };
  return {
    config,
    tensors,
    nameOf,
    rowOrder: (path, rows) => orderOf(path.replace(/\.(weight|bias)$/, ''), rows),
    matrix(path, [rows, columns]) {
      const name = `${nameOf(path)}.weight`;
      const entry = entries.get(name);
      if (!entry || !isBlockDType(entry.dtype)) return null;
      const format = entry.dtype.toLowerCase();
      return {
        format,
        tensors: [name],
        activation: suitedActivation(format),
        problems: sameShape(entry.shape, [rows, columns])
          ? []
          : [`${name} is ${formatShape(entry.shape)}, the metadata say ${formatShape([rows, columns])}`],
        async load(stored) {
          const order = orderOf(path, rows);
          if (isReadOnlyFormat(format)) {
            const groups = readAsIntegerGroups(format, await stored.readRows(name, order));
            return PackedTensor.fromParts(groups.format, [rows, columns], groups.parts, stored.backend);
          }
          const shape = [rows, entry.byteLength / rows];
          const blocks = order
            ? await stored.reordered(name, shape, 'u8', order)
            : await stored.tensor(name, shape, 'u8');
          return new PackedTensor(format, [rows, columns], [blocks]);
        },
      };
    },
    restore(path, values) {
      const added = architecture.addedTo?.(path) ?? 0;
      return added === 0 ? values : values.sub(added);
    },
    isOptional: (name) => derived.has(name),
  };
}

/**
 * The config.json of the model in a GGUF file.
 * @throws ModelConfigError for unknown architectures, and for metadata that nobody here understands
 */
export async function ggufConfig(checkpoint: Checkpoint): Promise<ModelConfig> {
  const { tensors, path } = checkpoint;
  const architecture = architectureOf(checkpoint);
  const reader = new GgufMetadataReader(tensors.metadata, architecture.name, path);
  const factors = tensors.entries.get(ROPE_FACTORS);
  const ropeFactors = factors ? toFloat32(await tensors.read(ROPE_FACTORS), factors.dtype) : null;
  const config = architecture.readConfig({ reader, entries: tensors.entries, ropeFactors });
  reader.finish();
  return config;
}

/** The architecture that a model of this config is written as. */
export function architectureFor(config: ModelConfig): GgufArchitecture {
  const name = (config.architectures as string[] | undefined)?.[0];
  const architecture = architectures.find(({ writes }) => writes.includes(name ?? ''));
  if (architecture) return architecture;
  throw new ModelConfigError({
    where: 'config.json',
    what: 'models of this architecture cannot be written as GGUF here',
    got: name ?? 'nothing',
    expected: architectures.flatMap(({ writes }) => writes).join(', '),
  });
}

/** @throws ModelConfigError naming the known ones */
export function architectureOf({ tensors, path }: Checkpoint): GgufArchitecture {
  const name = tensors.metadata.get('general.architecture');
  const architecture = architectures.find((candidate) => candidate.name === name);
  if (architecture) return architecture;
  throw new ModelConfigError({
    where: path,
    what: 'unknown architecture',
    got: String(name ?? 'nothing'),
    expected: architectures.map((candidate) => candidate.name).join(', '),
  });
}
