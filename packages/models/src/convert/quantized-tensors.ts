import {
  type Checkpoint,
  type DType,
  isBlockDType,
  openQuantized,
  packedRows,
  type QuantizedMatrix,
  type StoredRows,
} from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';
import { toTheirs } from '../families/family.js';
import { matrixShape, structureOf } from '../load.js';
import { namesOf } from '../registry.js';
import { type NamedRows, tensorsAsStored } from './model-tensors.js';

/**
 * The tensors of a directory as a model without quantisation has them: each quantised matrix is one tensor, of its values, or
 * of its blocks where it consists of blocks that GGUF has too.
 */
export function directoryTensors(checkpoint: Checkpoint): { config: ModelConfig; tensors: NamedRows[] } {
  const { quantization_config: settings, ...config } = checkpoint.config;
  const stored = tensorsAsStored(checkpoint);
  if (!settings) return { config, tensors: stored };
  const { matrices, tied } = quantizedMatrices(checkpoint);
  const used = new Set([...matrices.values()].flatMap(({ tensors }) => tensors));
  const dense = stored.filter(({ name }) => !used.has(name) && !tied.some((head) => name.startsWith(head)));
  const values = [...matrices].map(
    ([base, matrix]): NamedRows => ({ name: `${base}.weight`, shape: matrix.shape, rows: rowsOf(matrix) }),
  );
  return { config, tensors: [...dense, ...values] };
}

/** By the name of the module in the file. @throws ModelConfigError that lists what is wrong with their tensors */
function quantizedMatrices(checkpoint: Checkpoint) {
  const { config, tensors, path } = checkpoint;
  const names = namesOf(config);
  const find = openQuantized(config, tensors);
  const model = structureOf(config);
  const ties = new Set(model.ties.map(({ path }) => path));
  const matrices = new Map<string, QuantizedMatrix>();
  for (const [ours, module] of model.namedModules()) {
    const shape = ties.has(`${ours}.weight`) ? null : matrixShape(module);
    const base = toTheirs(names, ours);
    const matrix = shape && base ? find(base, shape) : null;
    if (base && matrix) matrices.set(base, matrix);
  }
  const tied = [...ties].flatMap((head) => toTheirs(names, head) ?? []);
  const problems = [...matrices.values()].flatMap((matrix) => matrix.problems);
  if (problems.length === 0) return { matrices, tied };
  throw new ModelConfigError({
    where: path,
    what: `quantised weights do not fit the config in ${problems.length} places`,
    got: problems.slice(0, 10).join('; '),
  });
}

/** Read when the first row is asked for, and let go after the last. */
function rowsOf(matrix: QuantizedMatrix): StoredRows {
  const { format, shape } = matrix;
  const [rows, columns] = shape;
  const dtype = format.toUpperCase() as DType;
  let parts: ReturnType<QuantizedMatrix['read']> | null = null;
  const partsFor = async (rowStart: number, rowCount: number) => {
    parts ??= matrix.read();
    const result = await parts;
    if (rowStart + rowCount >= rows) parts = null;
    return result;
  };
  return {
    rows,
    columns,
    dtype: isBlockDType(dtype) ? dtype : null,
    async readBytes(rowStart, rowCount) {
      const [blocks] = await partsFor(rowStart, rowCount);
      const width = blocks.byteLength / rows;
      return new Uint8Array(blocks.buffer, blocks.byteOffset + rowStart * width, rowCount * width);
    },
    async readValues(rowStart, rowCount) {
      const all = await partsFor(rowStart, rowCount);
      return packedRows(format, shape, all).readValues(rowStart, rowCount);
    },
  };
}
