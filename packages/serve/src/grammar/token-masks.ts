import { DEAD, type Machine, UNKNOWN } from './machine.js';
import { RecentlyUsed } from './recently-used.js';
import type { TokenTrie } from './token-trie.js';

/** Which tokens may follow in a state. */
export interface StateTokens {
  readonly count: number;
  /** A bit per token. */
  readonly mask: Uint32Array;
  /** After the worst of these tokens, so many bytes end the text. */
  readonly bytesToEnd: number;
}

/** Which tokens may follow in a state of texts with few tokens left. */
interface ClosingTokens {
  /** In how many tokens a text can end after one of these, each number once. */
  readonly lengths: readonly number[];
  /** By a length: a bit for each token after which a text ends in as many tokens, or fewer. */
  readonly masks: Map<number, Uint32Array>;
}

/** How a text ends soonest. */
export interface Ending {
  readonly tokens: readonly number[];
}

/** Memory for masks of one grammar, twice, in words of 32 tokens: states that were used longest ago are worked out again. */
const MOST_WORDS = 4_000_000;

/** Longer endings, in bytes, fit into no context. */
const LONGEST_ENDING = 2 ** 17;

/** Allowed tokens by state, worked out when first needed by walking the vocabulary's trie beside the machine. */
export class TokenMasks {
  private readonly states = new RecentlyUsed<StateTokens>(MOST_WORDS);
  private readonly closings = new RecentlyUsed<ClosingTokens>(MOST_WORDS);
  /** States in which more than a few tokens may follow, walked through no further. */
  private readonly many = new Set<number>();
  private readonly endings = new Map<number, Ending | null>();
  /** By state, one more than the tokens of its ending: 0 is not known, -1 that there is none. */
  private endingLengths = new Int32Array(1024);
  /** State at each depth of the walk. */
  private readonly path: Int32Array;
  private readonly found: Int32Array;
  private readonly foundStates: Int32Array;

  constructor(
    readonly machine: Machine,
    readonly trie: TokenTrie,
  ) {
    this.path = new Int32Array(1 + trie.depth.reduce((most, depth) => Math.max(most, depth + 1), 0));
    this.found = new Int32Array(trie.tokens.length);
    this.foundStates = new Int32Array(trie.tokens.length);
  }

  /** About the memory of all that was worked out. */
  get bytes(): number {
    return 4 * (this.states.size + this.closings.size) + this.machine.bytes;
  }

  /** After a token a text must be able to end, with single bytes if need be: others are not allowed. */
  after(state: number): StateTokens {
    const entry = this.states.get(state) ?? this.collect(state);
    this.states.set(state, entry, entry.mask.length);
    return entry;
  }

  /** Whether at most so many tokens may follow; the same number each time. Cheap where they are more. */
  isFew(state: number, most: number): boolean {
    const known = this.states.get(state);
    if (known) return known.count <= most;
    if (this.many.has(state)) return false;
    const isFew = this.walk(state, most) <= most;
    if (!isFew) this.many.add(state);
    return isFew;
  }

  /** A bit for each token after which fewer than `left` tokens end the text. Not to be changed. */
  endingWithin(state: number, left: number): Uint32Array {
    const known = this.closings.get(state);
    const longest = known && longestBelow(left, known.lengths);
    const mask = longest !== undefined && known?.masks.get(longest);
    if (mask) return mask;
    const found = this.collectClosing(state, left);
    const closing = known ?? { lengths: found.lengths, masks: new Map() };
    closing.masks.set(longestBelow(left, found.lengths), found.mask);
    this.closings.set(state, closing, closing.masks.size * found.mask.length);
    return found.mask;
  }

  /** The state after a token. */
  advance(state: number, token: number): number {
    let next = state;
    for (const byte of this.trie.bytesOf(token)) next = this.machine.step(next, byte);
    return next;
  }

  /** The shortest ending in bytes, in as few tokens as spell it; null when there is none. */
  ending(state: number): Ending | null {
    const known = this.endings.get(state);
    if (known !== undefined) return known;
    const ending =
      this.machine.bytesToEnd(state) <= LONGEST_ENDING
        ? this.spell(this.machine.shortestEnding(state))
        : null;
    this.endings.set(state, ending);
    return ending;
  }

  /** Fills `found` and `foundStates`; returns how many there are, or a few more than `most`. */
  private walk(state: number, most = Number.POSITIVE_INFINITY): number {
    const { nodes, byte, depth, end, first, tokens } = this.trie;
    const { path, machine, found, foundStates } = this;
    const { classes, classCount } = machine;
    let { transitions } = machine;
    let count = 0;
    path[0] = state;
    for (let node = 0; node < nodes && count <= most; ) {
      const at = path[depth[node]];
      let next = transitions[at * classCount + classes[byte[node]]];
      if (next === UNKNOWN) {
        next = machine.step(at, byte[node]);
        transitions = machine.transitions;
      }
      if (next === DEAD) {
        node = end[node];
        continue;
      }
      path[depth[node] + 1] = next;
      for (let at = first[node]; at < first[node + 1]; at++) {
        found[count] = tokens[at];
        foundStates[count++] = next;
      }
      node++;
    }
    return count;
  }

  private collect(state: number): StateTokens {
    const { found, foundStates, machine } = this;
    const count = this.walk(state);
    const mask = this.emptyMask();
    let bytesToEnd = 0;
    for (let i = 0; i < count; i++) {
      const bytes = machine.bytesToEnd(foundStates[i]);
      if (bytes === Number.POSITIVE_INFINITY) continue;
      if (bytes > bytesToEnd) bytesToEnd = bytes;
      mask[found[i] >>> 5] |= 1 << (found[i] & 31);
    }
    return { count, mask, bytesToEnd };
  }

  private collectClosing(state: number, left: number): { lengths: number[]; mask: Uint32Array } {
    const { found, foundStates } = this;
    const count = this.walk(state);
    const mask = this.emptyMask();
    const lengths = new Set<number>();
    let last = 0;
    for (let i = 0; i < count; i++) {
      const length = this.endingLength(foundStates[i]);
      if (length < 0) continue;
      if (length !== last) lengths.add(length);
      last = length;
      if (length < left) mask[found[i] >>> 5] |= 1 << (found[i] & 31);
    }
    return { lengths: [...lengths], mask };
  }

  private emptyMask(): Uint32Array {
    return new Uint32Array(Math.ceil(this.trie.vocabularySize / 32));
  }

  /** Tokens of the shortest ending; -1: there is none. */
  private endingLength(state: number): number {
    if (state >= this.endingLengths.length) {
      const larger = new Int32Array(2 * state);
      larger.set(this.endingLengths);
      this.endingLengths = larger;
    }
    const known = this.endingLengths[state];
    if (known !== 0) return known < 0 ? -1 : known - 1;
    const ending = this.ending(state);
    this.endingLengths[state] = ending ? ending.tokens.length + 1 : -1;
    return ending ? ending.tokens.length : -1;
  }

  /** The fewest tokens that spell these bytes. */
  private spell(bytes: Uint8Array): Ending {
    const { nodes, byte, depth, end, first, tokens } = this.trie;
    const counts = new Float64Array(bytes.length + 1).fill(Number.POSITIVE_INFINITY);
    const chosen = new Int32Array(bytes.length);
    counts[bytes.length] = 0;
    for (let start = bytes.length - 1; start >= 0; start--) {
      for (let node = 0, matched = 0; node < nodes && start + matched < bytes.length; ) {
        if (depth[node] < matched) break; // left the branch
        if (byte[node] !== bytes[start + matched]) {
          node = end[node];
          continue;
        }
        matched++;
        if (first[node] < first[node + 1] && 1 + counts[start + matched] < counts[start]) {
          counts[start] = 1 + counts[start + matched];
          chosen[start] = tokens[first[node]];
        }
        node++;
      }
    }
    const spelling: number[] = [];
    for (let at = 0; at < bytes.length; at += this.trie.bytesOf(chosen[at]).length) spelling.push(chosen[at]);
    return { tokens: spelling };
  }
}

function longestBelow(left: number, lengths: readonly number[]): number {
  return lengths.reduce((most, length) => (length < left ? Math.max(most, length) : most), -1);
}
