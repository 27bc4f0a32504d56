import type { TokenConstraint } from '@frugal/tensor-core/generation';
import type { Tokenizer } from '@frugal/tokenizers';
import { GrammarConstraint } from './grammar-constraint.js';
import { GrammarError } from './grammar-error.js';
import { Machine } from './machine.js';
import { buildNetwork } from './network.js';
import { grammarOf, type OutputFormat } from './output-format.js';
import { TokenMasks } from './token-masks.js';
import { tokenTrie } from './token-trie.js';

/** Formats kept compiled, the last used ones. */
const MOST_FORMATS = 32;
/** A machine that has worked out more states is made anew: those of long past texts are only in the way. */
const MOST_STATES = 200_000;

/** Output formats over one vocabulary, each compiled once: requests with the same format share all its masks. */
export class CompiledFormats {
  private readonly compiled = new Map<string, TokenMasks>();

  constructor(
    private readonly tokenizer: Tokenizer,
    /** Tokens that end a text; they are never part of one. */
    private readonly stopIds: ReadonlySet<number>,
  ) {}

  /**
   * Keeps a text of at most `maxTokens` tokens to a format.
   * @throws GrammarError for a format that cannot be followed, or whose shortest text is longer
   */
  constraint(format: OutputFormat, maxTokens: number): TokenConstraint {
    const masks = this.masks(format);
    const { ending, machine } = { ending: masks.ending(masks.machine.start), machine: masks.machine };
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

  /** Lays the vocabulary out, which takes some tenths of a second for a large one and is done once. */
  prepare(): void {
    tokenTrie(this.tokenizer, this.stopIds);
  }

  private masks(format: OutputFormat): TokenMasks {
    const key = JSON.stringify(format);
    const known = this.compiled.get(key);
    this.compiled.delete(key);
    const masks =
      known && known.machine.size <= MOST_STATES && !known.machine.isNearlyFull
        ? known
        : this.compile(format);
    this.compiled.set(key, masks);
    const [oldest] = this.compiled.keys();
    if (this.compiled.size > MOST_FORMATS) this.compiled.delete(oldest);
    return masks;
  }

  private compile(format: OutputFormat): TokenMasks {
    const trie = tokenTrie(this.tokenizer, this.stopIds);
    return new TokenMasks(new Machine(buildNetwork(grammarOf(format)), trie.isWritable), trie);
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
