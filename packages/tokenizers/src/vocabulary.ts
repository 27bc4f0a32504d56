/** Tokens by id and ids by token. Ids may have gaps; each id has one token and each token one id. */
export class Vocabulary {
  private readonly ids = new Map<string, number>();
  private readonly tokens: (string | undefined)[] = [];

  /** One more than the highest id. */
  get size(): number {
    return this.tokens.length;
  }

  /** How many ids have a token. */
  get count(): number {
    return this.ids.size;
  }

  /** Adds a token. Returns false, and changes nothing, when the id or the token is taken. */
  add(token: string, id: number): boolean {
    if (this.tokens[id] !== undefined || this.ids.has(token)) return false;
    // Filled without holes: arrays with holes are slow, and their length lies.
    while (this.tokens.length < id) this.tokens.push(undefined);
    this.tokens[id] = token;
    this.ids.set(token, id);
    return true;
  }

  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  tokenOf(id: number): string | undefined {
    return this.tokens[id];
  }

  /** Pairs of id and token, by id. */
  *entries(): Generator<[number, string]> {
    for (let id = 0; id < this.tokens.length; id++) {
      const token = this.tokens[id];
      if (token !== undefined) yield [id, token];
    }
  }
}
