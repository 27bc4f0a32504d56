import {
  type Checkpoint,
  type DType,
  type GgufSource,
  type GgufValue,
  layoutGguf,
  type TensorInput,
  tensorInput,
  writeResumable,
} from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { loadTokenizer, tokenizerToGguf } from '@frugal/tokenizers';
import { architectureFor, ROPE_FACTORS } from '../gguf/gguf-weights.js';
import { ropeFactors } from '../gguf/rope.js';
import { text, u32 } from '../gguf/values.js';
import type { OutputPlan, WriteOutput } from './convert.js';
import { tensorsAsStored, toGgufTensors } from './model-tensors.js';
import { directoryTensors } from './quantized-tensors.js';

/** A GGUF file from a directory, or from another GGUF file, whose metadata then stay as they are. */
export async function planGguf(checkpoint: Checkpoint, output: string): Promise<OutputPlan> {
  const isGguf = checkpoint.kind === 'gguf';
  const fields = isGguf ? wholeFields(checkpoint.tensors as GgufSource) : await fieldsOf(checkpoint);
  const tensors = isGguf ? tensorsAsStored(checkpoint) : toGgufTensors(directoryTensors(checkpoint));
  const extra = isGguf ? [] : extraTensors(checkpoint.config);
  return {
    container: 'gguf',
    tensors,
    write: (inputs, options) => writeGguf(output, [...extra, ...inputs], fields, options),
  };
}

/** The metadata of a model that is not split, or no more. */
function wholeFields({ fields }: GgufSource): Map<string, GgufValue> {
  return new Map([...fields].filter(([key]) => !key.startsWith('split.')));
}

async function writeGguf(
  output: string,
  inputs: readonly TensorInput[],
  fields: ReadonlyMap<string, GgufValue>,
  options: Parameters<WriteOutput>[1],
): Promise<void> {
  const written = new Map(fields);
  written.set('general.file_type', u32(fileType(inputs)));
  if (inputs.some(({ dtype }) => /^I?Q/.test(dtype))) written.set('general.quantization_version', u32(2));
  await writeResumable(output, inputs, (list) => layoutGguf(list, written), options);
}

async function fieldsOf(checkpoint: Checkpoint): Promise<Map<string, GgufValue>> {
  const { config, path } = checkpoint;
  const architecture = architectureFor(config);
  const tokenizer = await loadTokenizer(path);
  const fields = new Map<string, GgufValue>([
    ['general.architecture', text(architecture.name)],
    ['general.type', text('model')],
    ['general.name', text(nameOf(checkpoint))],
  ]);
  for (const [key, value] of Object.entries(architecture.writeConfig(config)))
    fields.set(`${architecture.name}.${key}`, value);
  for (const [key, value] of Object.entries(
    tokenizerToGguf(tokenizer, { rows: config.vocab_size as number }),
  ))
    fields.set(key, value);
  return fields;
}

function nameOf({ config, path }: Checkpoint): string {
  const name = config._name_or_path;
  return typeof name === 'string' && name !== ''
    ? name
    : (path.split(/[/\\]/).filter(Boolean).pop() ?? 'model');
}

function extraTensors(config: ModelConfig): TensorInput[] {
  const factors = ropeFactors(config);
  return factors ? [tensorInput(ROPE_FACTORS, 'F32', [factors.length], factors)] : [];
}

/** llama.cpp's `general.file_type` for the dtype that most values have (`enum llama_ftype`). */
const FILE_TYPES: Partial<Record<DType, number>> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q2_K: 10,
  Q3_K: 12,
  Q4_K: 15,
  Q5_K: 17,
  Q6_K: 18,
  IQ4_NL: 25,
  BF16: 32,
};

function fileType(inputs: readonly TensorInput[]): number {
  const counts = new Map<DType, number>();
  for (const { dtype, shape } of inputs)
    counts.set(dtype, (counts.get(dtype) ?? 0) + shape.reduce((a, b) => a * b, 1));
  const [[most] = ['F32' as DType]] = [...counts].sort((a, b) => b[1] - a[1]);
  return FILE_TYPES[most] ?? 0;
}
