/**
 * Lets text through up to the first stop string, which may arrive in pieces: what could be the beginning of one is
 * held back until it is known not to be.
 */
export class StopStrings {
  private held = '';

  constructor(private readonly stops: readonly string[]) {}

  /** The text that is certain now; `stopped` once a stop string was found (the text ends before it). */
  push(piece: string): { text: string; stopped: boolean } {
    const text = this.held + piece;
    const found = this.stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.held = '';
      return { text: text.slice(0, Math.min(...found)), stopped: true };
    }
    const kept = this.longestBeginning(text);
    this.held = text.slice(text.length - kept);
    return { text: text.slice(0, text.length - kept), stopped: false };
  }

  /** What is still held back: at the end of the text it is certain. */
  flush(): string {
    const text = this.held;
    this.held = '';
    return text;
  }

  /** Length of the longest end of `text` that begins a stop string. */
  private longestBeginning(text: string): number {
    const longest = Math.max(0, ...this.stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
