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
  constructor(private readonly steps: readonly DecodeStep[]) {}

  push(token: string): string {
    return this.run(0, (emit) => emit(token));
  }

  end(): string {
    let text = '';
    for (let i = 0; i < this.steps.length; i++) text += this.run(i + 1, (emit) => this.steps[i].end(emit));
    return text;
  }

  /** Sends what `source` emits through the steps from `first` on. */
  private run(first: number, source: (emit: Emit) => void): string {
    let text = '';
    const send = (index: number): Emit => {
      const step = this.steps[index];
      return step ? (token) => step.push(token, send(index + 1)) : (token) => void (text += token);
    };
    source(send(first));
    return text;
  }
}
