import { stat } from 'node:fs/promises';
import {
  byteLengthOf,
  type Checkpoint,
  CheckpointExistsError,
  type DType,
  isBlockDType,
  isDType,
  openCheckpoint,
  type PackRows,
  recodedInput,
  type TensorInput,
  targetDType,
} from '@frugal/checkpoint';
import { ArgumentError, currentBackend, packMatrix } from '@frugal/tensor-core';
import { planDirectory } from './directory-output.js';
import { planGguf } from './gguf-output.js';
import type { NamedRows } from './model-tensors.js';

export interface ConvertOptions {
  /** dtype of the matrices in the output, such as `bf16` or `q4_k`. Default: as they are, where the output can hold it. */
  readonly to?: string | undefined;
  /** Replace what is at the output. */
  readonly force?: boolean | undefined;
  /** Go on with an interrupted conversion. */
  readonly resume?: boolean | undefined;
  readonly maxShardBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (event: { readonly done: number; readonly total: number }) => void;
}

/** What is to be written, before anything is. */
export interface Conversion {
  readonly output: 'gguf' | 'directory';
  readonly tensors: readonly ConvertedTensor[];
  /** Bytes of all tensors, before and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  write(): Promise<void>;
  close(): Promise<void>;
}

export interface ConvertedTensor {
  readonly name: string;
  /** dtype in the source; null for a matrix that several tensors make up. */
  readonly from: DType | null;
  readonly to: DType;
}

/** Writes the tensors and whatever belongs to them. */
export type WriteOutput = (
  tensors: readonly TensorInput[],
  options: ConvertOptions & { readonly origin: string; readonly onTensor: (tensor: TensorInput) => void },
) => Promise<void>;

/** What an output makes of a model: its tensors by the names there, and how to write them. */
export interface OutputPlan {
  readonly container: 'gguf' | 'safetensors';
  readonly tensors: readonly NamedRows[];
  /** Sees the final dtypes. */
  readonly write: WriteOutput;
}

/**
 * Plans the conversion of a model directory or GGUF file into another one, by the name of the output: `*.gguf`, else a
 * directory with safetensors. Everything that can be refused is refused here. Memory while writing: a few rows. Numbers are
 * packed by the current backend.
 * @throws ModelConfigError, CheckpointExistsError, ArgumentError
 */
export async function planConversion(
  input: string,
  output: string,
  options: ConvertOptions = {},
): Promise<Conversion> {
  const wanted = parseTarget(options.to);
  const toGguf = output.toLowerCase().endsWith('.gguf');
  await refuseExisting(output, options.force ?? false, toGguf);
  const checkpoint = await openCheckpoint(input);
  try {
    if (!toGguf && wanted && isBlockDType(wanted)) throw notInSafetensors(wanted);
    const plan = await (toGguf ? planGguf : planDirectory)(checkpoint, output);
    return conversionOf(checkpoint, plan, wanted, options);
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** {@link planConversion} and all of its work. */
export async function convertModel(
  input: string,
  output: string,
  options: ConvertOptions = {},
): Promise<Conversion> {
  const conversion = await planConversion(input, output, options);
  try {
    await conversion.write();
  } finally {
    await conversion.close();
  }
  return conversion;
}

function conversionOf(
  checkpoint: Checkpoint,
  { container, tensors, write }: OutputPlan,
  wanted: DType | undefined,
  options: ConvertOptions,
): Conversion {
  const backend = currentBackend();
  const pack: PackRows = (format, values, size) => packMatrix(format, values, size, backend);
  const planned = tensors.map(({ name, shape, rows }) => {
    const to = targetDType(name, shape, rows.dtype, { container, wanted });
    return { input: recodedInput(name, shape, rows, to, pack), from: rows.dtype, to };
  });
  const total = planned.reduce((sum, { input }) => sum + input.shape.reduce((a, b) => a * b, 1), 0);
  let done = 0;
  return {
    output: container === 'gguf' ? 'gguf' : 'directory',
    tensors: planned.map(({ input: { name }, from, to }) => ({ name, from, to })),
    bytesBefore: [...checkpoint.tensors.entries.values()].reduce(
      (sum, { byteLength }) => sum + byteLength,
      0,
    ),
    bytesAfter: planned.reduce((sum, { input }) => sum + (byteLengthOf(input.dtype, input.shape) ?? 0), 0),
    write: async () =>
      write(
        planned.map(({ input }) => input),
        {
          ...options,
          origin: await originOf(checkpoint),
          onTensor: ({ shape }) => {
            done += shape.reduce((a, b) => a * b, 1);
            options.onProgress?.({ done, total });
          },
        },
      ),
    close: () => checkpoint.close(),
  };
}

/** Tells one version of a source from the next, for conversions that are gone on with. */
async function originOf({ tensors }: Checkpoint): Promise<string> {
  const files = new Set([...tensors.entries.values()].map(({ file }) => file));
  const facts = await Promise.all(
    [...files].map(async (file) => {
      const { size, mtimeMs } = await stat(file);
      return [file, size, mtimeMs];
    }),
  );
  return JSON.stringify(facts);
}

/** @throws ArgumentError for what is no dtype that numbers can be written in */
function parseTarget(to: string | undefined): DType | undefined {
  if (to === undefined) return undefined;
  const dtype = to.toUpperCase();
  if (isDType(dtype) && targets.has(dtype)) return dtype;
  throw new ArgumentError({
    where: 'convert',
    what: 'unknown target format',
    got: to,
    expected: [...targets].map((name) => name.toLowerCase()).join(', '),
  });
}

const targets = new Set<DType>([
  ...(['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1'] as const),
  ...(['Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'IQ4_NL'] as const),
]);

function notInSafetensors(wanted: DType): ArgumentError {
  return new ArgumentError({
    where: 'convert',
    what: 'directories with safetensors cannot hold this format',
    got: wanted.toLowerCase(),
    hint: 'Write a .gguf file, or use frugal quantize for formats of directories.',
  });
}

/** @throws CheckpointExistsError */
async function refuseExisting(output: string, force: boolean, isFile: boolean): Promise<void> {
  const found = await stat(output).catch(() => null);
  if (!found) return;
  if (found.isDirectory() === isFile) {
    throw new CheckpointExistsError({
      where: output,
      what: isFile ? 'there is a folder in the way' : 'there is a file in the way',
    });
  }
  if (!force) {
    throw new CheckpointExistsError({
      where: output,
      what: 'exists already',
      hint: 'Choose another name, or allow to replace it (force).',
    });
  }
}
