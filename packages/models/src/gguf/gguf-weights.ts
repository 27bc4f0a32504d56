import { type Checkpoint, isBlockDType } from '@frugal/checkpoint';
import { formatShape, PackedTensor, sameShape } from '@frugal/tensor-core';
import { ModelConfigError } from '../config-reader.js';
import { toTheirs } from '../families/family.js';
import { familyOf } from '../registry.js';
import { pairedRows } from '../weights/row-order.js';
import type { WeightSource } from '../weights/weight-source.js';
import type { GgufArchitecture } from './architecture.js';
import { llama } from './architectures/llama.js';
import { GgufMetadataReader } from './metadata-reader.js';

/** A new architecture is its file in `architectures/` and one entry here. */
const architectures: readonly GgufArchitecture[] = [llama];

/** Tensors that hold what the config says already. */
const derived = new Set(['rope_freqs.weight', 'rope_factors_long.weight', 'rope_factors_short.weight']);

/**
 * A GGUF file as the weights of a model. Block-quantised matrices stay as they are; rows of one block format are
 * independent, so that even reordered queries and keys stay packed.
 * @throws ModelConfigError for unknown architectures, and for metadata that nobody here understands
 */
export function ggufWeights(checkpoint: Checkpoint): WeightSource {
  const architecture = architectureOf(checkpoint);
  const { entries } = checkpoint.tensors;
  const config = readGgufConfig(checkpoint, architecture);
  const ggufNames = familyOf(config).ggufNames?.(config);
  const nameOf = (path: string) => ggufNames && toTheirs(ggufNames, path);
  const orderOf = (path: string, rows: number) => {
    const order = architecture.rowOrder?.(path, config);
    return order ? pairedRows(rows, order.headSize) : null;
  };
  return {
    config,
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
        activation: null,
        problems: sameShape(entry.shape, [rows, columns])
          ? []
          : [`${name} is ${formatShape(entry.shape)}, the metadata say ${formatShape([rows, columns])}`],
        async load(tensors) {
          const shape = [rows, entry.byteLength / rows];
          const order = orderOf(path, rows);
          const blocks = order
            ? await tensors.reordered(name, shape, 'u8', order)
            : await tensors.tensor(name, shape, 'u8');
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

/** The config.json of the model in a GGUF file. */
export function ggufConfig(checkpoint: Checkpoint): WeightSource['config'] {
  return readGgufConfig(checkpoint, architectureOf(checkpoint));
}

function readGgufConfig(
  { tensors, path }: Checkpoint,
  architecture: GgufArchitecture,
): WeightSource['config'] {
  const reader = new GgufMetadataReader(tensors.metadata, architecture.name, path);
  const config = architecture.readConfig(reader, tensors.entries);
  reader.finish();
  return config;
}

function architectureOf({ tensors, path }: Checkpoint): GgufArchitecture {
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
