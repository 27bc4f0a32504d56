import type { EncodingInput, EncodingRequest, ModelCard } from './contract.js';
import { EngineError } from './errors.js';
import type { LoadedEncoder } from './loaded-encoder.js';

/** Token ids of each text of a request, which is checked whole. @throws EngineError that says what is wrong with it */
export function encoderInputs(
  loaded: LoadedEncoder,
  { contextLength }: ModelCard,
  { inputs, truncate, priority = 0 }: EncodingRequest,
): readonly ArrayLike<number>[] {
  if (truncate !== undefined && !(Number.isInteger(truncate) && truncate > 0 && truncate <= contextLength)) {
    throw invalid('truncate out of range', truncate, `1 to ${contextLength}`);
  }
  if (!Number.isSafeInteger(priority)) throw invalid('priority out of range', priority, 'an integer');
  if (inputs.length === 0) throw new EngineError('invalid-request', { what: 'there is no text to read' });
  return inputs.map((input, index) => {
    const ids = idsOf(loaded, input, truncate);
    if (ids.length === 0) throw new EngineError('invalid-request', { what: `text ${index} is empty` });
    if (ids.length <= contextLength) return ids;
    throw new EngineError('context-length-exceeded', {
      what: `text ${index} is longer than the model reads`,
      got: `${ids.length} tokens`,
      expected: `at most ${contextLength}`,
      hint: 'Split it, or ask for its beginning alone.',
    });
  });
}

function idsOf(loaded: LoadedEncoder, input: EncodingInput, truncate?: number): ArrayLike<number> {
  if ('text' in input) return encoded(loaded, input.text, truncate);
  const { vocabularySize } = loaded.encoder;
  const strange = input.ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
  if (strange !== undefined) {
    throw invalid('a token id is not in the vocabulary', strange, `0 to ${vocabularySize - 1}`);
  }
  return input.ids.slice(0, truncate);
}

/** What the tokenizer puts around a text stays when the text is cut. */
function encoded(
  { tokenizer, prefix = '', lowerCase = false }: LoadedEncoder,
  text: string,
  truncate?: number,
): ArrayLike<number> {
  const whole = lowerCase ? `${prefix}${text}`.toLowerCase() : `${prefix}${text}`;
  const ids = tokenizer.encode(whole);
  if (truncate === undefined || ids.length <= truncate) return ids;
  const inner = tokenizer.encode(whole, { addSpecialTokens: false });
  const around = ids.length - inner.length;
  const before = ids.subarray(0, around + 1).indexOf(inner[0]);
  if (before < 0 || truncate <= around) return ids.subarray(0, truncate);
  const room = truncate - around;
  return Int32Array.from([...ids.subarray(0, before + room), ...ids.subarray(before + inner.length)]);
}

function invalid(what: string, got: number, expected: string): EngineError {
  return new EngineError('invalid-request', { what, got: String(got), expected });
}
