import { createDecodeChain, decodesBytes } from './decode/create-chain.js';
import type { AddedToken, TokenizerDefinition } from './definition.js';
import { TokenizerError } from './errors.js';
import { describe, type JsonObject } from './file/json.js';
import { configJson, tokenizerJson } from './file/write.js';
import { fingerprintOf } from './fingerprint.js';
import { canReadBytes } from './model/bpe.js';
import { createModel } from './model/create-model.js';
import { IdBuffer } from './model/id-buffer.js';
import { byteOfToken, type WordModel } from './model/model.js';
import { AddedTokenSplitter } from './text/added-token-splitter.js';
import { type Affixes, readAffixes } from './text/affixes.js';
import { bytesOfCharacters } from './text/byte-alphabet.js';
import { createNormalizer, type Normalizer } from './text/normalize.js';
import { createPretokenizer, type Pretokenizer, pretokenize } from './text/pretokenize.js';
import { Utf8Joiner, utf8Bytes, utf8Text } from './text/utf8.js';
import type { DecodeOptions, EncodeOptions, StreamingDecoder, Tokenizer } from './tokenizer.js';

const NO_BYTES = new Uint8Array(0);

/**
 * The pipeline of tokenizer.json: added tokens → normalizer → pre-tokenizer → model → special tokens around it, and the
 * decoder back.
 */
export class PipelineTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly specialTokens: readonly AddedToken[];
  private readonly addedById: ReadonlyMap<number, AddedToken>;
  private readonly addedByContent: ReadonlyMap<string, AddedToken>;
  private readonly originalSplitter: AddedTokenSplitter;
  private readonly normalizedSplitter: AddedTokenSplitter;
  private readonly normalize: Normalizer | null;
  private readonly pretokenizers: readonly Pretokenizer[];
  private readonly model: WordModel;
  private readonly affixes: Affixes;
  private readonly decodesBytes: boolean;
  private readonly bytesById: (Uint8Array | undefined)[] = [];
  private computedFingerprint: string | undefined;

  constructor(private readonly definition: TokenizerDefinition) {
    const { addedTokens, vocabulary, file } = definition;
    this.vocabularySize = addedTokens.reduce((size, { id }) => Math.max(size, id + 1), vocabulary.size);
    this.specialTokens = addedTokens.filter(({ special }) => special);
    this.addedById = new Map(addedTokens.map((token) => [token.id, token]));
    this.addedByContent = new Map(addedTokens.map((token) => [token.content, token]));
    this.normalize = createNormalizer(definition.normalizer, file);
    this.originalSplitter = new AddedTokenSplitter(addedTokens.filter(({ normalized }) => !normalized));
    this.normalizedSplitter = new AddedTokenSplitter(
      addedTokens.filter(({ normalized }) => normalized),
      ({ content }) => this.normalize?.(content) ?? content,
    );
    const { steps, endsInBytes } = createPretokenizer(
      definition.preTokenizer,
      file,
      canReadBytes(definition),
    );
    this.pretokenizers = steps;
    this.model = createModel(definition, endsInBytes);
    this.affixes = readAffixes(definition);
    this.decodesBytes = decodesBytes(definition);
    // Built once here, so that a file with an unknown decoder is refused when it is opened.
    if (!this.decodesBytes) createDecodeChain(definition);
  }

  get bosId(): number | undefined {
    return this.definition.bosId;
  }

  get eosIds(): readonly number[] {
    return this.definition.eosIds;
  }

  get padId(): number | undefined {
    return this.definition.padId;
  }

  get addedTokens(): readonly AddedToken[] {
    return this.definition.addedTokens;
  }

  get namedTokens(): Readonly<Record<string, string>> {
    return this.definition.namedTokens;
  }

  get chatTemplates(): Readonly<Record<string, string>> {
    return this.definition.chatTemplates;
  }

  get fingerprint(): string {
    this.computedFingerprint ??= fingerprintOf(this.definition, this.affixes);
    return this.computedFingerprint;
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    const { addSpecialTokens = true, parseSpecialTokens = true } = options;
    const wellFormed = text.toWellFormed();
    // A guess that seldom has to grow: English has about four characters per token.
    const ids = new IdBuffer(wellFormed.length / 3 + 16);
    const accept = (token: AddedToken): boolean => parseSpecialTokens || !token.special;
    if (addSpecialTokens) for (const id of this.affixes.prefix) ids.push(id);
    let atStart = true;
    for (const piece of this.originalSplitter.split(wellFormed, accept)) {
      if (typeof piece === 'string') this.encodeNormalized(piece, atStart, accept, ids);
      else ids.push(piece.id);
      atStart = false;
    }
    if (addSpecialTokens) for (const id of this.affixes.suffix) ids.push(id);
    return ids.take();
  }

  private encodeNormalized(
    text: string,
    atStart: boolean,
    accept: (token: AddedToken) => boolean,
    ids: IdBuffer,
  ): void {
    const normalized = this.normalize ? this.normalize(text) : text;
    let beginsText = atStart;
    for (const piece of this.normalizedSplitter.split(normalized, accept)) {
      if (typeof piece !== 'string') ids.push(piece.id);
      else pretokenize(this.pretokenizers, piece, beginsText, (word) => this.model.encodeWord(word, ids));
      beginsText = false;
    }
  }

  decode(ids: Iterable<number>, { skipSpecialTokens = false }: DecodeOptions = {}): string {
    if (this.decodesBytes) return utf8Text(this.joinBytes(ids, skipSpecialTokens));
    const decoder = this.streamingDecoder({ skipSpecialTokens });
    let text = '';
    for (const id of ids) text += decoder.push(id);
    return text + decoder.flush();
  }

  private joinBytes(ids: Iterable<number>, skipSpecialTokens: boolean): Uint8Array {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (const id of ids) {
      checkId(id);
      if (skipSpecialTokens && this.isSpecial(id)) continue;
      const bytes = this.tokenBytes(id);
      parts.push(bytes);
      length += bytes.length;
    }
    const all = new Uint8Array(length);
    let at = 0;
    for (const bytes of parts) {
      all.set(bytes, at);
      at += bytes.length;
    }
    return all;
  }

  streamingDecoder({ skipSpecialTokens = false }: DecodeOptions = {}): StreamingDecoder {
    const skips = (id: number): boolean => skipSpecialTokens && this.isSpecial(checkId(id));
    if (this.decodesBytes) {
      const joiner = new Utf8Joiner();
      return {
        push: (id) => (skips(id) ? '' : joiner.push(this.tokenBytes(checkId(id)))),
        flush: () => joiner.flush(),
      };
    }
    const chain = createDecodeChain(this.definition);
    return {
      push: (id) => {
        const token = skips(id) ? undefined : this.tokenOf(checkId(id));
        return token === undefined ? '' : chain.push(token);
      },
      flush: () => chain.end(),
    };
  }

  idOf(token: string): number | undefined {
    return this.addedByContent.get(token)?.id ?? this.definition.vocabulary.idOf(token);
  }

  tokenOf(id: number): string | undefined {
    return this.addedById.get(id)?.content ?? this.definition.vocabulary.tokenOf(id);
  }

  tokenBytes(id: number): Uint8Array {
    this.bytesById[id] ??= this.makeTokenBytes(id);
    return this.bytesById[id];
  }

  private makeTokenBytes(id: number): Uint8Array {
    const token = this.tokenOf(id);
    if (token === undefined) return NO_BYTES;
    if (this.decodesBytes) return bytesOfCharacters(token);
    if (this.addedById.get(id)?.special) return utf8Bytes(token);
    const byte = byteOfToken(token);
    if (byte >= 0) return Uint8Array.of(byte);
    // Decoders treat the first token apart: a letter before it shows what the token gives in the middle.
    const chain = createDecodeChain(this.definition);
    return utf8Bytes((chain.push('x') + chain.push(token) + chain.end()).slice(1));
  }

  isSpecial(id: number): boolean {
    return this.addedById.get(id)?.special ?? false;
  }

  toJSON(): JsonObject {
    return tokenizerJson(this.definition);
  }

  files(): Record<string, string> {
    return {
      'tokenizer.json': `${JSON.stringify(this, null, 2)}\n`,
      'tokenizer_config.json': `${JSON.stringify(configJson(this.definition), null, 2)}\n`,
    };
  }
}

function checkId(id: number): number {
  if (Number.isInteger(id) && id >= 0) return id;
  throw new TokenizerError({
    where: 'decode',
    what: 'an id is wrong',
    got: describe(id),
    expected: 'an integer from 0',
  });
}
