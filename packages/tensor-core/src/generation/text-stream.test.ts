import { expect, it } from 'vitest';
import { TextStream } from './text-stream.js';

/** Tokens are pieces of bytes, as in byte-level vocabularies: a character may lie across two of them. */
function decoderOf(pieces: readonly (readonly number[])[]) {
  const decoder = new TextDecoder();
  return {
    push: (id: number) => decoder.decode(Uint8Array.from(pieces[id]), { stream: true }),
    flush: () => decoder.decode(),
  };
}
const [NEWLINE, FIRST_OF_THREE] = [10, 0xe4];

it('gives what was held back at the end of a text, also half a character', () => {
  const stream = new TextStream(decoderOf([[65, FIRST_OF_THREE]]), ['A\n']);
  expect(stream.push(0)).toEqual({ text: '', stopped: false });
  expect(stream.flush()).toBe('A\uFFFD');
});

it('gives nothing behind a stop string, whose token may have begun another character', () => {
  const stream = new TextStream(decoderOf([[65], [NEWLINE, FIRST_OF_THREE]]), ['\n']);
  expect(stream.push(0)).toEqual({ text: 'A', stopped: false });
  expect(stream.push(1)).toEqual({ text: '', stopped: true });
  expect(stream.flush()).toBe('');
});
