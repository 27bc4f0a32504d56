import { DEAD, type Machine } from './machine.js';
import type { TokenTrie } from './token-trie.js';

/** Tokens after which a text is in the same state. */
export interface TokenGroup {
  readonly state: number;
  readonly tokens: Int32Array;
}

/** Which tokens may follow in a state. */
export interface StateTokens {
  readonly groups: readonly TokenGroup[];
  /** A bit per token: those of all groups. */
  readonly mask: Uint32Array;
  /** After the worst of these tokens, so many bytes end the text. */
  readonly bytesToEnd: number;
  /** For texts with few tokens left, worked out when first needed. */
  closing: ClosingMasks | null;
}

interface ClosingMasks {
  /** Of each group, in how many tokens its texts end; infinite when they cannot. */
  readonly lengths: readonly number[];
  /** The tokens of all groups that end in so many tokens. */
  readonly masks: Map<number, Uint32Array>;
}

/** How a text ends soonest. */
export interface Ending {
  readonly tokens: readonly number[];
}

/** Memory for token lists of one grammar, in tokens: states that were used longest ago are worked out again. */
const MOST_LISTED = 8_000_000;

/** Longer endings, in bytes, fit into no context. */
const LONGEST_ENDING = 2 ** 17;

/** Allowed tokens by state, worked out when first needed by walking the vocabulary's trie beside the machine. */
export class TokenMasks {
  private readonly states = new Map<number, StateTokens>();
  private readonly endings = new Map<number, Ending | null>();
  private listed = 0;
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

  /** After a token a text must be able to end, with single bytes if need be: others are not allowed. */
  after(state: number): StateTokens {
    const known = this.states.get(state);
    if (known) {
      this.states.delete(state);
      this.states.set(state, known);
      return known;
    }
    const entry = this.collect(this.walk(state));
    this.states.set(state, entry);
    this.listed += sizeOf(entry);
    for (const [oldest, { groups }] of this.states) {
      if (this.listed <= MOST_LISTED || oldest === state) break;
      this.states.delete(oldest);
      this.listed -= sizeOf({ groups });
    }
    return entry;
  }

  /** A bit for each token after which fewer than `left` tokens end the text. Not to be changed. */
  endingWithin(state: number, left: number): Uint32Array {
    const entry = this.after(state);
    entry.closing ??= {
      lengths: entry.groups.map(
        (group) => this.ending(group.state)?.tokens.length ?? Number.POSITIVE_INFINITY,
      ),
      masks: new Map(),
    };
    const { lengths, masks } = entry.closing;
    const longest = lengths.reduce((most, length) => (length < left ? Math.max(most, length) : most), -1);
    const known = masks.get(longest);
    if (known) return known;
    const mask = new Uint32Array(entry.mask.length);
    entry.groups.forEach(({ tokens }, i) => {
      if (lengths[i] > longest) return;
      for (const token of tokens) mask[token >>> 5] |= 1 << (token & 31);
    });
    masks.set(longest, mask);
    return mask;
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

  /** Fills `found` and `foundStates`; returns how many there are. */
  private walk(state: number): number {
    const { nodes, byte, depth, end, first, tokens } = this.trie;
    const { path, machine, found, foundStates } = this;
    let count = 0;
    path[0] = state;
    for (let node = 0; node < nodes; ) {
      const next = machine.step(path[depth[node]], byte[node]);
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

  private collect(count: number): StateTokens {
    const lists = new Map<number, number[]>();
    let last = -1;
    let list: number[] = [];
    for (let i = 0; i < count; i++) {
      const state = this.foundStates[i];
      if (state !== last) {
        last = state;
        list = lists.get(state) ?? [];
        lists.set(state, list);
      }
      list.push(this.found[i]);
    }
    const mask = new Uint32Array(Math.ceil(this.trie.vocabularySize / 32));
    const groups: TokenGroup[] = [];
    let bytesToEnd = 0;
    for (const [state, members] of lists) {
      const bytes = this.machine.bytesToEnd(state);
      if (!Number.isFinite(bytes)) continue;
      bytesToEnd = Math.max(bytesToEnd, bytes);
      groups.push({ state, tokens: Int32Array.from(members) });
      for (const token of members) mask[token >>> 5] |= 1 << (token & 31);
    }
    return { groups, mask, bytesToEnd, closing: null };
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

function sizeOf({ groups }: Pick<StateTokens, 'groups'>): number {
  return groups.reduce((sum, { tokens }) => sum + tokens.length, 0);
}
