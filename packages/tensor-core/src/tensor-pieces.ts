import type { DType } from './dtype.js';
import { releasePages } from './memory.js';
import { scope } from './scope.js';
import { noGrad } from './tape.js';
import type { Tensor } from './tensor.js';

const PIECE_VALUES = 2 ** 22;

/**
 * The bytes of a tensor in another dtype, a piece at a time, so that no second copy of all is made: for files. Takes the
 * handle over.
 */
export async function* tensorPieces(value: Tensor, dtype: DType = value.dtype): AsyncGenerator<Uint8Array> {
  try {
    for (let at = 0; at < value.size; at += PIECE_VALUES) {
      const end = Math.min(value.size, at + PIECE_VALUES);
      const piece = scope(() => noGrad(() => value.reshape(-1).slice(0, at, end).cast(dtype).contiguous()));
      const bytes = await piece.bytes();
      piece.dispose();
      releasePages(value);
      yield bytes;
    }
  } finally {
    value.dispose();
  }
}
