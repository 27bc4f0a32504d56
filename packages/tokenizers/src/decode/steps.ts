import type { JsonObject } from '../file/json.js';
import type { JsonReader } from '../file/json-reader.js';
import { CTCDecoder } from '../library.js';
import { byteOfToken } from '../model/model.js';
import { bytesOfCharacters } from '../text/byte-alphabet.js';
import { literalPattern, readPattern } from '../text/read-pattern.js';
import { strictUtf8Text, Utf8Joiner } from '../text/utf8.js';
import { type DecodeStep, gather, mapTokens } from './step.js';

/** Byte-level BPE: characters of the byte alphabet become bytes, and bytes text. */
export function byteLevel(): DecodeStep {
  const joiner = new Utf8Joiner();
  return {
    push: (token, emit) => {
      const text = joiner.push(bytesOfCharacters(token));
      if (text !== '') emit(text);
    },
    end: (emit) => emit(joiner.flush()),
  };
}

/** Runs of tokens such as `<0xE4>` become text if the whole run is valid, else one U+FFFD per byte. */
export function byteFallback(): DecodeStep {
  let bytes: number[] = [];
  const settle = (emit: (token: string) => void): void => {
    if (bytes.length === 0) return;
    emit(strictUtf8Text(Uint8Array.from(bytes)) ?? '\ufffd'.repeat(bytes.length));
    bytes = [];
  };
  return {
    push: (token, emit) => {
      const byte = byteOfToken(token);
      if (byte >= 0) {
        bytes.push(byte);
        return;
      }
      settle(emit);
      emit(token);
    },
    end: settle,
  };
}

export function metaspace(reader: JsonReader): DecodeStep {
  const mark = reader.at('replacement').optionalString() ?? '▁';
  const scheme =
    reader.at('prepend_scheme').optionalString() ??
    (reader.at('add_prefix_space').boolean(true) ? 'always' : 'never');
  return mapTokens((token, index) => token.replaceAll(mark, index === 0 && scheme !== 'never' ? '' : ' '));
}

export function replace(reader: JsonReader): DecodeStep {
  const content = reader.at('content').string();
  const search = literalPattern(reader.at('pattern')) ?? readPattern(reader.at('pattern'));
  return mapTokens((token) => token.replaceAll(search, () => content));
}

export interface StripOptions {
  readonly content: string;
  readonly start: number;
  readonly stop: number;
}

export function stripOptions(reader: JsonReader): StripOptions {
  return {
    content: reader.at('content').string(),
    start: reader.at('start').index(),
    stop: reader.at('stop').index(),
  };
}

/** Takes at most `start` and `stop` times `content` from the ends of a text. */
export function stripText(text: string, { content, start, stop }: StripOptions): string {
  const characters = Array.from(text);
  let from = 0;
  while (from < Math.min(start, characters.length) && characters[from] === content) from++;
  let to = characters.length;
  while (characters.length - to < stop && to > from && characters[to - 1] === content) to--;
  return characters.slice(from, to).join('');
}

/** `Fuse` and then `Strip` at the start only, which is the beginning of the whole text: nothing has to wait. */
export function stripStart({ content, start }: StripOptions): DecodeStep {
  let left = start;
  return {
    push: (token, emit) => {
      let text = token;
      while (left > 0 && text !== '') {
        if (text.startsWith(content)) {
          text = text.slice(content.length);
          left--;
        } else left = 0;
      }
      if (text !== '') emit(text);
    },
    end: () => {
      left = start;
    },
  };
}

export function wordPiece(reader: JsonReader): DecodeStep {
  const prefix = reader.at('prefix').string();
  const cleans = reader.at('cleanup').boolean(true);
  return mapTokens((token, index) => {
    const continues = token.startsWith(prefix);
    const spaced = index === 0 ? token : continues ? token.slice(prefix.length) : ` ${token}`;
    return cleans ? cleanUp(spaced).replaceAll(' do not', " don't") : spaced;
  });
}

/** A token is known to be the last one only at the end, hence one token of delay. */
export function bpeSuffix(suffix: string): DecodeStep {
  let waiting: string | undefined;
  return {
    push: (token, emit) => {
      if (waiting !== undefined) emit(suffix ? waiting.replaceAll(suffix, ' ') : waiting);
      waiting = token;
    },
    end: (emit) => {
      if (waiting !== undefined) emit(suffix ? waiting.replaceAll(suffix, '') : waiting);
      waiting = undefined;
    },
  };
}

/** Connectionist temporal classification (speech): through the library. */
export function ctc(config: JsonObject): DecodeStep {
  const decoder = new CTCDecoder(config);
  return gather((tokens) => decoder.decode_chain(tokens).join(''));
}

/** Takes out the spaces that tokenizing English put before punctuation and contractions. */
export function cleanUp(text: string): string {
  return text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}
