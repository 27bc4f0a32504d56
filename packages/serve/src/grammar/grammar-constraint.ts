import { FEW, type TokenConstraint } from '@frugal/tensor-core/generation';
import { DEAD } from './machine.js';
import type { Ending, TokenMasks } from './token-masks.js';

/**
 * Keeps one text within a grammar, and lets it end within its tokens: a token is only allowed when the text can still end
 * with those that are left after it.
 */
export class GrammarConstraint implements TokenConstraint {
  private state: number;
  /** Ends the text within what is left; null: the ending of the state does. */
  private ending: Ending | null = null;

  constructor(
    private readonly masks: TokenMasks,
    private readonly stopIds: ReadonlySet<number>,
    /** Tokens that are left; at least as many as `masks.ending` of the start has. */
    private left: number,
  ) {
    this.state = masks.machine.start;
  }

  get isComplete(): boolean {
    return this.masks.machine.isFinal(this.state);
  }

  few(effort: 'cheap' | 'full'): readonly number[] | null {
    if (effort === 'cheap' && !this.masks.isFew(this.state, FEW)) return null;
    const { mask, more } = this.allowed();
    return listed(mask, more);
  }

  restrict(logits: Float32Array): void {
    const { mask, more } = this.allowed();
    const kept = more.map((id) => [id, logits[id]] as const);
    forbid(logits, mask);
    for (const [id, logit] of kept) logits[id] = logit;
  }

  /** A bit per token that may come next, and tokens beside them. */
  private allowed(): { readonly mask: Uint32Array; readonly more: readonly number[] } {
    const { masks, state, left } = this;
    const isClosing = masks.machine.bytesToEnd(state) >= left || masks.after(state).bytesToEnd >= left;
    const mask = isClosing ? masks.endingWithin(state, left) : masks.after(state).mask;
    const next = isClosing ? this.nextOfEnding().tokens.slice(0, 1) : [];
    return { mask, more: [...next, ...(masks.machine.isAccepting(state) ? this.stopIds : [])] };
  }

  allows(token: number): boolean {
    const { masks, state, left } = this;
    if (this.stopIds.has(token)) return masks.machine.isAccepting(state);
    const next = masks.trie.bytesOf(token).length > 0 ? masks.advance(state, token) : DEAD;
    if (next === DEAD) return false;
    const bytes = masks.machine.bytesToEnd(next);
    if (bytes < left) return true;
    if (!Number.isFinite(bytes)) return false;
    const ending = masks.ending(next);
    return (ending !== null && ending.tokens.length < left) || token === this.nextOfEnding().tokens[0];
  }

  accept(token: number): void {
    const { masks, state } = this;
    this.left--;
    if (this.stopIds.has(token) && masks.machine.isAccepting(state)) return;
    const next = masks.advance(state, token);
    // A token is at least a byte: most texts have so much left that the tokens of their ending need not be counted.
    const isFar = next !== DEAD && masks.machine.bytesToEnd(next) <= this.left;
    const shortest = isFar || next === DEAD ? null : masks.ending(next);
    const isEnough = isFar || (shortest !== null && shortest.tokens.length <= this.left);
    this.ending = isEnough ? null : { tokens: this.nextOfEnding().tokens.slice(1) };
    this.state = next;
  }

  private nextOfEnding(): Ending {
    return this.ending ?? (this.masks.ending(this.state) as Ending);
  }
}

/** The tokens with a bit and `more`, ascending; null: they are not few. */
function listed(mask: Uint32Array, more: readonly number[]): readonly number[] | null {
  const ids = more.filter((id, i) => !(mask[id >>> 5] & (1 << (id & 31))) && more.indexOf(id) === i);
  for (let word = 0; word < mask.length; word++) {
    for (let bits = mask[word]; bits !== 0; bits &= bits - 1)
      ids.push(32 * word + 31 - Math.clz32(bits & -bits));
    if (ids.length > FEW) return null;
  }
  return ids.sort((a, b) => a - b);
}

/** -∞ for all tokens without a bit. */
function forbid(logits: Float32Array, allowed: Uint32Array): void {
  const words = Math.ceil(logits.length / 32);
  for (let word = 0; word < words; ) {
    let end = word;
    while (end < words && (end >= allowed.length || allowed[end] === 0)) end++;
    if (end > word) logits.fill(Number.NEGATIVE_INFINITY, 32 * word, 32 * end);
    for (word = end; word < words && word < allowed.length && allowed[word] !== 0; word++) {
      for (let forbidden = ~allowed[word]; forbidden !== 0; forbidden &= forbidden - 1) {
        const token = 32 * word + 31 - Math.clz32(forbidden & -forbidden);
        if (token < logits.length) logits[token] = Number.NEGATIVE_INFINITY;
      }
    }
  }
}
