import type { TokenizerDefinition } from '../definition.js';
import { JsonReader } from '../file/json-reader.js';
import { Unigram, WordPiece } from '../library.js';
import { utf8Bytes } from '../text/utf8.js';
import type { Vocabulary } from '../vocabulary.js';
import type { IdBuffer } from './id-buffer.js';
import { byteToken, type WordModel } from './model.js';

/** Splits one word into tokens; what is no token is unknown. */
type Tokenize = (word: string) => string[];

/** WordPiece and Unigram through the library, WordLevel by one look-up. */
export class LibraryModel implements WordModel {
  private readonly vocabulary: Vocabulary;
  private readonly tokenize: Tokenize;
  private readonly unknownId: number;
  private readonly fusesUnknown: boolean;
  private readonly byteIds: readonly (number | undefined)[];

  constructor(definition: TokenizerDefinition) {
    this.vocabulary = definition.vocabulary;
    this.tokenize = createTokenize(definition);
    this.unknownId = definition.unknownId ?? -1;
    this.fusesUnknown = definition.modelType === 'Unigram';
    this.byteIds =
      definition.model.byte_fallback === true
        ? Array.from({ length: 256 }, (_, byte) => this.vocabulary.idOf(byteToken(byte)))
        : [];
  }

  encodeWord(word: string, ids: IdBuffer): void {
    let afterUnknown = false;
    for (const token of this.tokenize(word)) {
      const id = this.vocabulary.idOf(token);
      const isUnknown = id === undefined || id === this.unknownId;
      if (!isUnknown) ids.push(id);
      else if (!this.pushBytes(token, ids) && !(afterUnknown && this.fusesUnknown) && this.unknownId >= 0) {
        ids.push(this.unknownId);
      }
      afterUnknown = isUnknown;
    }
  }

  private pushBytes(token: string, ids: IdBuffer): boolean {
    if (this.byteIds.length === 0) return false;
    const bytes = Array.from(utf8Bytes(token), (byte) => this.byteIds[byte]);
    if (bytes.includes(undefined)) return false;
    for (const id of bytes) ids.push(id as number);
    return true;
  }
}

function createTokenize(definition: TokenizerDefinition): Tokenize {
  const { modelType, model, vocabulary, scores, config, unknownId, file } = definition;
  const reader = new JsonReader(file, 'model', model);
  if (vocabulary.count === 0) return reader.at('vocab').fail('the vocabulary is empty');
  if (modelType === 'WordLevel') return (word) => [word];
  if (modelType === 'WordPiece') {
    reader.at('unk_token').string();
    reader.at('continuing_subword_prefix').string();
    const vocab = Object.fromEntries(Array.from(vocabulary.entries(), ([id, token]) => [token, id]));
    const wordPiece = new WordPiece({ ...model, vocab });
    return (word) => wordPiece.encode([word]);
  }
  if (unknownId !== undefined && unknownId >= vocabulary.size) {
    return reader.at('unk_id').fail('the unknown token is not in the vocabulary', { got: String(unknownId) });
  }
  const vocab = Array.from(vocabulary.entries(), ([id, token]) => [token, scores?.[id] ?? 0]);
  const unigram = new Unigram({ ...model, vocab, unk_id: unknownId }, config.eos_token);
  return (word) => unigram.encode([word]);
}
