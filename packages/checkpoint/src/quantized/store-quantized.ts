import { CheckpointWriteError } from '../errors.js';
import type { TensorInput } from '../tensor-input.js';
import { ascend } from './ascend.js';
import { awqWriter } from './awq-writer.js';
import { bitsandbytesWriter } from './bitsandbytes-writer.js';
import { compressedTensorsWriter } from './compressed-tensors-writer.js';
import { frugal } from './frugal-layout.js';
import { gptqWriter } from './gptq-writer.js';
import type { PackedMatrix, PackedShape, Settings, WritableLayout } from './quantized-matrix.js';

/** In the order in which they are tried: the layout that most tools read comes first. */
const writable = {
  'compressed-tensors': compressedTensorsWriter,
  bitsandbytes: bitsandbytesWriter,
  frugal,
  // Holding less than the ones before, these are only taken when they are asked for.
  gptq: gptqWriter,
  awq: awqWriter,
  ascend,
} as const satisfies Readonly<Record<string, WritableLayout>>;

export type QuantizedLayoutName = keyof typeof writable;
export const quantizedLayouts = Object.keys(writable) as readonly QuantizedLayoutName[];

/** Why matrices cannot be stored in a layout, one sentence for each that is refused. */
export function layoutProblems(layout: QuantizedLayoutName, matrices: readonly PackedShape[]): string[] {
  const writer: WritableLayout = writable[layout];
  const problems = matrices.flatMap((matrix) => {
    const refusal = writer.refusal(matrix);
    return refusal ? [`${matrix.modules[0]} as ${matrix.format}: ${refusal}`] : [];
  });
  const conflict = problems.length === 0 ? writer.together?.(matrices) : null;
  return conflict ? [conflict] : problems;
}

/** How a model's packed matrices lie in a checkpoint. */
export interface StoredQuantized {
  readonly layout: QuantizedLayoutName;
  /** `quantization_config` of config.json. */
  readonly settings: Settings;
  readonly tensors: readonly TensorInput[];
  /** Files beside the weights, by name. */
  readonly files: Readonly<Record<string, string>>;
}

/**
 * The tensors of packed matrices, and the settings that tell a reader about them. A checkpoint has one layout: without a
 * wish it is the first that can hold all of them. `dense` names the linear layers that are not packed, and
 * `denseTensors` all tensors beside those of the matrices.
 * @throws CheckpointWriteError for matrices that the wished layout cannot hold
 */
export function storeQuantized(
  matrices: readonly PackedMatrix[],
  dense: readonly string[],
  wish?: QuantizedLayoutName,
  denseTensors: readonly string[] = [],
): StoredQuantized {
  const fitting = quantizedLayouts.filter((layout) => layoutProblems(layout, matrices).length === 0);
  const layout = wish ?? fitting[0];
  if (!fitting.includes(layout)) {
    throw new CheckpointWriteError({
      where: `layout ${layout}`,
      what: 'these matrices cannot be stored so',
      got: layoutProblems(layout, matrices).slice(0, 5).join('; '),
      hint: `Layouts that hold them: ${fitting.join(', ')}.`,
    });
  }
  const writer: WritableLayout = writable[layout];
  const settings = writer.settings(matrices, dense, denseTensors);
  const tensors = matrices.flatMap((matrix) => writer.tensors(matrix));
  return { layout, settings, tensors, files: writer.files?.(settings) ?? {} };
}
