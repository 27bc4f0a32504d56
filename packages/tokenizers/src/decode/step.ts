/**
 * One step of decoding, fed token by token. A whole text and a stream run the same steps, so both give the same
 * characters. A step keeps what it cannot settle yet.
 */
export interface DecodeStep {
  /** Takes a token and passes on what is settled. */
  push(token: string, emit: Emit): void;
  /** Ends the text: passes on what is left, and becomes as new. */
  end(emit: Emit): void;
}

export type Emit = (token: string) => void;

/** Applies a function to each token; `index` counts from 0. */
export function mapTokens(map: (token: string, index: number) => string): DecodeStep {
  let index = 0;
  return {
    push: (token, emit) => emit(map(token, index++)),
    end: () => {
      index = 0;
    },
  };
}

/** Waits for all tokens: for steps whose result depends on what comes later. */
export function gather(join: (tokens: string[]) => string): DecodeStep {
  let tokens: string[] = [];
  return {
    push: (token) => void tokens.push(token),
    end: (emit) => {
      const text = join(tokens);
      tokens = [];
      emit(text);
    },
  };
}

/** The steps as one function from token to text, and one that ends the text. */
export class DecodeChain {
  private text = '';
  /** Entry `i` sends a token into step `i`; the last one writes the text. */
  private readonly entries: Emit[];

  constructor(private readonly steps: readonly DecodeStep[]) {
    this.entries = [...steps.keys(), steps.length].map((index) => this.entry(index));
  }

  private entry(index: number): Emit {
    const step = this.steps[index];
    if (step) return (token) => step.push(token, this.entries[index + 1]);
    return (token) => {
      this.text += token;
    };
  }

  push(token: string): string {
    this.entries[0](token);
    return this.take();
  }

  end(): string {
    this.steps.forEach((step, index) => {
      step.end(this.entries[index + 1]);
    });
    return this.take();
  }

  private take(): string {
    const { text } = this;
    this.text = '';
    return text;
  }
}
