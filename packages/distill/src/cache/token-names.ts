/** What is needed of a tokenizer. */
export interface TokenTexts {
  readonly vocabularySize: number;
  tokenBytes(id: number): Uint8Array;
}

/**
 * Ids of tokens by the names that endpoints give them: their text, `bytes:\xe2\x80` where it is a part of a character
 * (OpenAI), or `token_id:17` (vLLM). Of tokens with the same text the first is meant.
 */
export class TokenNames {
  private readonly ids = new Map<string, number>();

  constructor(private readonly tokenizer: TokenTexts) {
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      const name = nameOf(tokenizer.tokenBytes(id));
      if (!this.ids.has(name)) this.ids.set(name, id);
    }
  }

  idOf(name: string): number | undefined {
    const numbered = /^token_id:(\d+)$/.exec(name);
    if (!numbered) return this.ids.get(name);
    const id = Number(numbered[1]);
    return id < this.tokenizer.vocabularySize ? id : undefined;
  }

  /** The highest id that is not among `known`: those of rare and reserved tokens stand last. */
  unusedId(known: ReadonlySet<number | undefined>): number {
    let id = this.tokenizer.vocabularySize - 1;
    while (known.has(id)) id--;
    return id;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function nameOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}
