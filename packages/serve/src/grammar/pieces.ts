import { setImmediate as nextTurn } from 'node:timers/promises';

/** Work that can stop at each `yield`, and go on later. */
export type Pieces<T> = Generator<undefined, T, undefined>;

/** How long others wait for a piece, in milliseconds; less than a step of most models. */
const LONGEST_PIECE = 5;

/** All of it at once. */
export function atOnce<T>(work: Pieces<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Piece by piece: whatever else there is to do has its turn in between. */
export async function inPieces<T>(work: Pieces<T>): Promise<T> {
  for (;;) {
    const end = performance.now() + LONGEST_PIECE;
    do {
      const { done, value } = work.next();
      if (done) return value;
    } while (performance.now() < end);
    await nextTurn();
  }
}
