import type { TokenConstraint } from '@frugal/tensor-core/generation';
import { DEAD } from './machine.js';
import type { Ending, TokenMasks } from './token-masks.js';

/**
 * Keeps one text within a grammar, and lets it end within its tokens: a token is only allowed when the text can still end
 * with those that are left after it.
 */
export class GrammarConstraint implements TokenConstraint {
  private state: number;
  /** Ends the text within what is left. */
  private ending: Ending;

  constructor(
    private readonly masks: TokenMasks,
    private readonly stopIds: ReadonlySet<number>,
    /** Tokens that are left; at least as many as `masks.ending` of the start has. */
    private left: number,
  ) {
    this.state = masks.machine.start;
    this.ending = masks.ending(this.state) as Ending;
  }

  get isComplete(): boolean {
    return this.masks.machine.isFinal(this.state);
  }

  restrict(logits: Float32Array): void {
    const { mask, bytesToEnd } = this.masks.after(this.state);
    const allowed = bytesToEnd < this.left ? mask : this.closing();
    const stops = this.masks.machine.isAccepting(this.state) ? [...this.stopIds] : [];
    const kept = stops.map((id) => logits[id]);
    forbid(logits, allowed);
    stops.forEach((id, i) => {
      logits[id] = kept[i];
    });
  }

  accept(token: number): void {
    this.left--;
    if (this.stopIds.has(token) && this.masks.machine.isAccepting(this.state)) return;
    this.state = this.masks.advance(this.state, token);
    const shortest = this.state === DEAD ? null : this.masks.ending(this.state);
    this.ending =
      shortest && shortest.tokens.length <= this.left ? shortest : { tokens: this.ending.tokens.slice(1) };
  }

  /** Few tokens are left: only those after which they are enough. */
  private closing(): Uint32Array {
    const { groups, mask } = this.masks.after(this.state);
    const allowed = new Uint32Array(mask.length);
    const allow = (token: number) => {
      allowed[token >>> 5] |= 1 << (token & 31);
    };
    for (const { state, tokens } of groups) {
      const ending = this.masks.ending(state);
      if (ending && ending.tokens.length < this.left) tokens.forEach(allow);
    }
    if (this.ending.tokens.length > 0) allow(this.ending.tokens[0]);
    return allowed;
  }
}

/** -∞ for all tokens without a bit. */
function forbid(logits: Float32Array, allowed: Uint32Array): void {
  for (let word = 0; word * 32 < logits.length; word++) {
    const bits = word < allowed.length ? allowed[word] : 0;
    if (bits === 0xffffffff) continue;
    const end = Math.min(logits.length, word * 32 + 32);
    if (bits === 0) logits.fill(Number.NEGATIVE_INFINITY, word * 32, end);
    else
      for (let token = word * 32; token < end; token++)
        if ((bits & (1 << (token & 31))) === 0) logits[token] = Number.NEGATIVE_INFINITY;
  }
}
