/** Union-find over 0 … n − 1; the representative of a set is its least member, whatever the order of unions. */
export class DisjointSets {
  private readonly parent: Uint32Array;

  constructor(size: number) {
    this.parent = Uint32Array.from({ length: size }, (_, i) => i);
  }

  find(member: number): number {
    const { parent } = this;
    let root = member;
    while (parent[root] !== root) {
      parent[root] = parent[parent[root]];
      root = parent[root];
    }
    return root;
  }

  /** Members of the set with this representative, by representative; zero for all others. */
  sizes(): Uint32Array {
    const sizes = new Uint32Array(this.parent.length);
    for (let member = 0; member < sizes.length; member++) sizes[this.find(member)]++;
    return sizes;
  }

  unite(a: number, b: number): void {
    const [first, second] = [this.find(a), this.find(b)];
    this.parent[Math.max(first, second)] = Math.min(first, second);
  }
}
