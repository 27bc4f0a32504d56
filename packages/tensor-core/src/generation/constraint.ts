/** Decides which tokens one text may consist of. Has a state: use it for one text only. */
export interface TokenConstraint {
  /** Nothing may follow: the text is over. */
  readonly isComplete: boolean;
  /** Forbids tokens that must not come next: sets their logits [V] to -∞. */
  restrict(logits: Float32Array): void;
  /** Whether `restrict` would leave this token alone: cheaper than `restrict` for a few tokens. */
  allows(token: number): boolean;
  /** Takes the token that was chosen. */
  accept(token: number): void;
}
