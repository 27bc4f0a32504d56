import type { TokenizerDefinition } from '../definition.js';
import { JsonReader } from '../file/json-reader.js';
import { BYTE_TO_CHARACTER, charactersOfBytes } from '../text/byte-alphabet.js';
import { utf8Bytes, writeUtf8 } from '../text/utf8.js';
import type { Vocabulary } from '../vocabulary.js';
import type { IdBuffer } from './id-buffer.js';
import { MarkCutter } from './mark-cutter.js';
import { mergeSymbols } from './merge.js';
import { byteToken, type WordModel } from './model.js';
import { PairTable } from './pair-table.js';
import { WordCache } from './word-cache.js';

/** Words up to this length are remembered; longer ones seldom return. */
const CACHED_LENGTH = 64;

interface BpeOptions {
  /** Words come as text and are read as bytes; else they come written in the vocabulary's own characters. */
  readonly readsBytes: boolean;
  readonly unknownId: number;
  readonly fuseUnknown: boolean;
  readonly byteFallback: boolean;
  /** A word that is a token is that token, whatever the merges say (Llama 3). */
  readonly ignoreMerges: boolean;
  readonly prefix: string;
  readonly suffix: string;
}

/** Whether the model can read bytes itself instead of the byte alphabet's characters. */
export function canReadBytes(definition: TokenizerDefinition): boolean {
  const { continuing_subword_prefix, end_of_word_suffix } = definition.model;
  return definition.modelType === 'BPE' && !continuing_subword_prefix && !end_of_word_suffix;
}

/** Byte-pair encoding, over bytes or characters. */
export class BpeModel implements WordModel {
  private readonly vocabulary: Vocabulary;
  private readonly options: BpeOptions;
  private readonly table: PairTable;
  /** Ids of single bytes (reading bytes, or falling back to them); -1 where there is none. */
  private readonly byteIds = new Int32Array(256).fill(-1);
  private readonly cache = new WordCache();
  /** For vocabularies that mark spaces and know the mark. */
  private readonly cutter: MarkCutter | undefined;
  private symbols = new Int32Array(256);
  private bytes = new Uint8Array(256);

  constructor(definition: TokenizerDefinition, readsBytes: boolean) {
    this.vocabulary = definition.vocabulary;
    this.options = readOptions(definition, readsBytes);
    this.table = makeTable(definition, this.options.prefix);
    const name = readsBytes ? (byte: number) => BYTE_TO_CHARACTER[byte] : byteToken;
    for (let byte = 0; byte < 256; byte++) this.byteIds[byte] = this.vocabulary.idOf(name(byte)) ?? -1;
    if (!readsBytes && this.byteIds.includes(-1)) this.options = { ...this.options, byteFallback: false };
    const { ignoreMerges, prefix, suffix } = this.options;
    const cuts =
      !readsBytes && !ignoreMerges && !prefix && !suffix && this.vocabulary.idOf('▁') !== undefined;
    this.cutter = cuts ? new MarkCutter(this.vocabulary) : undefined;
  }

  encodeWord(word: string, ids: IdBuffer): void {
    if (this.cutter) this.cutter.forEachPart(word, (part) => this.encodePart(part, ids));
    else this.encodePart(word, ids);
  }

  private encodePart(word: string, ids: IdBuffer): void {
    if (this.cache.append(word, ids)) return;
    const { symbols, count } = this.mergeWord(word);
    ids.append(symbols, 0, count);
    if (word.length <= CACHED_LENGTH) this.cache.set(word, symbols, count);
  }

  private mergeWord(word: string): { symbols: Int32Array; count: number } {
    if (this.options.ignoreMerges) {
      const id = this.vocabulary.idOf(this.options.readsBytes ? charactersOfBytes(utf8Bytes(word)) : word);
      if (id !== undefined) return { symbols: Int32Array.of(id), count: 1 };
    }
    const length = this.options.readsBytes ? this.readBytes(word) : this.readCharacters(word);
    return { symbols: this.symbols, count: mergeSymbols(this.symbols, length, this.table) };
  }

  private readBytes(word: string): number {
    this.reserve(word.length * 3);
    const { symbols, byteIds } = this;
    // Most words are ASCII: no need for an encoder.
    for (let i = 0; i < word.length; i++) {
      const code = word.charCodeAt(i);
      if (code >= 0x80 || byteIds[code] < 0) return this.readEncodedBytes(word);
      symbols[i] = byteIds[code];
    }
    return word.length;
  }

  private readEncodedBytes(word: string): number {
    const count = writeUtf8(word, this.bytes);
    let length = 0;
    let afterUnknown = false;
    for (let i = 0; i < count; i++) {
      const id = this.byteIds[this.bytes[i]];
      if (id >= 0) this.symbols[length++] = id;
      else length = this.addUnknown(length, afterUnknown);
      afterUnknown = id < 0;
    }
    return length;
  }

  private reserve(length: number): void {
    if (length <= this.symbols.length) return;
    this.symbols = new Int32Array(length * 2);
    this.bytes = new Uint8Array(length * 2);
  }

  private readCharacters(word: string): number {
    const { prefix, suffix, byteFallback } = this.options;
    const characters = Array.from(word);
    // One character becomes at most four bytes.
    this.reserve(characters.length * 4);
    let length = 0;
    let afterUnknown = false;
    for (let i = 0; i < characters.length; i++) {
      const isLast = i + 1 === characters.length;
      const id = this.vocabulary.idOf((i > 0 ? prefix : '') + characters[i] + (isLast ? suffix : ''));
      if (id !== undefined) this.symbols[length++] = id;
      else if (byteFallback)
        for (const byte of utf8Bytes(characters[i])) this.symbols[length++] = this.byteIds[byte];
      else length = this.addUnknown(length, afterUnknown);
      afterUnknown = id === undefined && !byteFallback;
    }
    return length;
  }

  /** Without an unknown token, what is unknown disappears. */
  private addUnknown(length: number, afterUnknown: boolean): number {
    const { unknownId, fuseUnknown } = this.options;
    if (unknownId < 0 || (fuseUnknown && afterUnknown)) return length;
    this.symbols[length] = unknownId;
    return length + 1;
  }
}

function readOptions(definition: TokenizerDefinition, readsBytes: boolean): BpeOptions {
  const model = new JsonReader(definition.file, 'model', definition.model);
  return {
    readsBytes,
    unknownId: definition.unknownId ?? -1,
    fuseUnknown: model.at('fuse_unk').boolean(false),
    byteFallback: !readsBytes && model.at('byte_fallback').boolean(false),
    ignoreMerges: model.at('ignore_merges').boolean(false),
    prefix: model.at('continuing_subword_prefix').optionalString() ?? '',
    suffix: model.at('end_of_word_suffix').optionalString() ?? '',
  };
}

function makeTable({ vocabulary, merges, file }: TokenizerDefinition, prefix: string): PairTable {
  const table = new PairTable(merges.length / 2);
  let previous = -1;
  for (let i = 0; i < merges.length; i += 2) {
    const left = vocabulary.tokenOf(merges[i]) as string;
    const right = (vocabulary.tokenOf(merges[i + 1]) as string).slice(prefix.length);
    // Most files list merges in the order of the tokens they make: then nothing has to be joined and looked up.
    const isNext = isJoined(vocabulary.tokenOf(previous + 1), left, right);
    const id = isNext ? previous + 1 : vocabulary.idOf(left + right);
    if (id === undefined) {
      const reader = new JsonReader(file, `model.merges[${i / 2}]`, undefined);
      return reader.fail('a merge makes a token that is not in the vocabulary', {
        got: JSON.stringify(left + right),
      });
    }
    table.set(merges[i], merges[i + 1], i / 2, id);
    previous = id;
  }
  return table;
}

const isJoined = (token: string | undefined, left: string, right: string): boolean =>
  token !== undefined &&
  token.length === left.length + right.length &&
  token.startsWith(left) &&
  token.endsWith(right);
