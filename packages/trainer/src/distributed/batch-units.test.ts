import { describe, expect, it } from 'vitest';
import { sequenceUnits } from './batch-units.js';

describe('units of a batch in the tokens of two tokenizers', () => {
  const batch = {
    sequences: [Int32Array.of(1, 2, 3), Int32Array.of(4), Int32Array.of(5, 6)],
    targets: Int32Array.of(2, 3, -100, -100, 6, -100),
    // The second sequence is half a character, which the teacher does not read.
    teacher: [Int32Array.of(10, 11), Int32Array.of(), Int32Array.of(12, 13, 14)],
    rowPairs: { student: Int32Array.of(0, 2, 4, 5), teacher: Int32Array.of(0, 1, 3, 4) },
  };

  it('keep the pairs of their own rows, counted from the start of both', () => {
    expect(sequenceUnits.slice(batch, 0, 1)).toEqual({
      sequences: [Int32Array.of(1, 2, 3)],
      targets: Int32Array.of(2, 3, -100),
      teacher: [Int32Array.of(10, 11)],
      rowPairs: { student: Int32Array.of(0, 2), teacher: Int32Array.of(0, 1) },
    });
    expect(sequenceUnits.slice(batch, 1, 2)).toEqual({
      sequences: [Int32Array.of(4)],
      targets: Int32Array.of(-100),
      teacher: [Int32Array.of()],
      rowPairs: { student: Int32Array.of(), teacher: Int32Array.of() },
    });
    expect(sequenceUnits.slice(batch, 2, 3)).toEqual({
      sequences: [Int32Array.of(5, 6)],
      targets: Int32Array.of(6, -100),
      teacher: [Int32Array.of(12, 13, 14)],
      rowPairs: { student: Int32Array.of(0, 1), teacher: Int32Array.of(1, 2) },
    });
    expect(sequenceUnits.slice(batch, 0, 3)).toEqual(batch);
  });
});
