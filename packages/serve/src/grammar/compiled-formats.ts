import type { TokenConstraint } from '@frugal/tensor-core/generation';
import type { Tokenizer } from '@frugal/tokenizers';
import { GrammarConstraint } from './grammar-constraint.js';
import { GrammarError } from './grammar-error.js';
import { Machine } from './machine.js';
import { buildNetwork } from './network.js';
import { grammarOf, type OutputFormat } from './output-format.js';
import { atOnce, inPieces, type Pieces } from './pieces.js';
import { TokenMasks } from './token-masks.js';
import { tokenTrie } from './token-trie.js';
import { CALL_MARKS } from './tool-calls.js';

/** Formats kept compiled, the last used ones … */
const MOST_FORMATS = 32;
/** … and, but for the last one, the memory of what was worked out for them. */
const MOST_BYTES = 2 ** 27;
/** A machine that has worked out more states is made anew: those of long past texts are only in the way. */
const MOST_STATES = 200_000;

/** Output formats over one vocabulary, each compiled once: requests with the same format share all its masks. */
export class CompiledFormats {
  private readonly compiled = new Map<string, TokenMasks>();
  private readonly compiling = new Map<string, Promise<void>>();

  constructor(
    private readonly tokenizer: Tokenizer,
    /** Tokens that end a text; they are never part of one. */
    private readonly stopIds: ReadonlySet<number>,
  ) {}

  /** About the memory of the formats that are kept: as much as their texts needed so far. */
  get bytes(): number {
    return [...this.compiled.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Keeps a text of at most `maxTokens` tokens to a format.
   * @throws GrammarError for a format that cannot be followed, or whose shortest text is longer
   */
  constraint(format: OutputFormat, maxTokens: number): TokenConstraint {
    const masks = this.masks(format);
    const { machine } = masks;
    const ending = masks.ending(machine.start);
    if (!ending) throw impossible(format, machine.bytesToEnd(machine.start));
    if (ending.tokens.length > maxTokens) {
      throw new GrammarError(placeOf(format), {
        what: 'the shortest text of this format does not fit into the tokens',
        got: `${maxTokens} tokens`,
        expected: `at least ${ending.tokens.length}`,
        hint: 'Allow more tokens.',
      });
    }
    return new GrammarConstraint(masks, this.stopIds, maxTokens);
  }

  /**
   * Compiles a format for those who ask for a constraint later, piece by piece, so that nothing else waits for a large one;
   * null: it is compiled.
   * @throws GrammarError for a format that cannot be followed
   */
  compile(format: OutputFormat): Promise<void> | null {
    const key = JSON.stringify(format);
    if (this.known(key)) return null;
    const begun = this.compiling.get(key);
    if (begun) return begun;
    const compiled = inPieces(this.build(format))
      .then((masks) => this.keep(key, masks))
      .finally(() => this.compiling.delete(key));
    this.compiling.set(key, compiled);
    return compiled;
  }

  /** Lays the vocabulary out, which takes some tenths of a second for a large one and is done once. */
  prepare(): void {
    tokenTrie(this.tokenizer, this.stopIds);
  }

  private masks(format: OutputFormat): TokenMasks {
    const key = JSON.stringify(format);
    const masks = this.known(key) ?? atOnce(this.build(format));
    this.keep(key, masks);
    return masks;
  }

  private known(key: string): TokenMasks | null {
    const masks = this.compiled.get(key);
    return masks && masks.machine.size <= MOST_STATES && !masks.machine.isNearlyFull ? masks : null;
  }

  private keep(key: string, masks: TokenMasks): void {
    this.compiled.delete(key);
    this.compiled.set(key, masks); // the last used one
    let { bytes } = this;
    for (const [oldest, { bytes: freed }] of this.compiled) {
      const isWithin = this.compiled.size <= MOST_FORMATS && bytes <= MOST_BYTES;
      if (isWithin || oldest === key) return;
      this.compiled.delete(oldest);
      bytes -= freed;
    }
  }

  private *build(format: OutputFormat): Pieces<TokenMasks> {
    const marks = format.type === 'tool-calls' ? CALL_MARKS[format.style] : [];
    const trie = tokenTrie(this.tokenizer, this.stopIds, marks);
    const grammar = grammarOf(format);
    yield;
    const network = yield* buildNetwork(grammar);
    const machine = yield* Machine.of(network, trie.isWritable);
    return new TokenMasks(machine, trie);
  }
}

function impossible(format: OutputFormat, bytes: number): GrammarError {
  const never = !Number.isFinite(bytes);
  return new GrammarError(placeOf(format), {
    what: never ? 'no text can be of this format' : 'the shortest text of this format is too long',
    got: never ? 'demands that exclude each other, or never end' : `${bytes} bytes`,
  });
}

const placeOf = ({ type }: OutputFormat) =>
  type === 'regex' ? 'regex' : type === 'grammar' ? 'grammar' : 'json schema';
