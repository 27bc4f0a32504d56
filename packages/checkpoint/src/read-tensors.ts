import { type ByteSource, readBytes } from './byte-source.js';
import { CheckpointFormatError } from './errors.js';
import { isGguf, readGguf } from './gguf/reader.js';
import { readMindspore } from './mindspore/reader.js';
import { readPaddle } from './paddle/reader.js';
import { readSafetensors } from './safetensors/reader.js';
import type { TensorSource } from './tensor-source.js';

/**
 * Opens one file of tensors by what is in it: safetensors, GGUF, a MindSpore checkpoint or PaddlePaddle weights. Closing
 * the result closes `source`.
 */
export async function readTensors(source: ByteSource): Promise<TensorSource> {
  if (await isGguf(source)) return readGguf(source);
  const start = await readBytes(source, 0, Math.min(9, source.size));
  if (start[0] === 0x80 && start[1] >= 2 && start[1] <= 5 && start[8] !== OPENING_BRACE)
    return readPaddle(source);
  if (start[0] === 0x50 && start[1] === 0x4b) throw zipped(source.name);
  // Both begin with a number; in safetensors it counts the bytes of a JSON object that follows after eight of them.
  if (start[0] === MESSAGE && start[8] !== OPENING_BRACE) return readMindspore(source);
  return readSafetensors(source);
}

const OPENING_BRACE = 0x7b;
/** Field 1, with a length: how each value of a MindSpore checkpoint begins. */
const MESSAGE = 0x0a;

function zipped(file: string): CheckpointFormatError {
  return new CheckpointFormatError({
    file,
    offset: 0,
    what: 'a zip file: PyTorch weights, which are pickles and can run code, are not opened',
    hint: 'Convert them to safetensors in Python.',
  });
}
