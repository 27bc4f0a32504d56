/**
 * A place in the tree over numbered leaves: node (level, index) covers the leaves index · 2^level up to, but without,
 * (index + 1) · 2^level. At the right edge there may be fewer; children that cover none are left out of sums.
 */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
}

/**
 * Adds up values along a fixed tree, whoever brings them: leaves one by one, or nodes that were added up elsewhere. So
 * floating-point sums have the same bits for any division of the leaves into consecutive ranges.
 */
export class ReductionTree<T> {
  private readonly stack: { node: TreeNode; value: T }[] = [];

  /** `add` may use up both of its operands. */
  constructor(private readonly add: (left: T, right: T) => T) {}

  /** Takes the next node to the right; those that have both children become their parent. */
  push(node: TreeNode, value: T): void {
    this.stack.push({ node, value });
    while (this.stack.length > 1 && this.mergeLast());
  }

  /** What could not be added up yet, from left to right. */
  nodes(): readonly { readonly node: TreeNode; readonly value: T }[] {
    return this.stack;
  }

  /** The sum of all `leaves`, which must have come. */
  finish(leaves: number): T {
    for (;;) {
      const [first] = this.stack;
      if (this.stack.length === 1) return first.value;
      const last = this.stack[this.stack.length - 1];
      // The last node is alone under its parents until it has a left sibling.
      const { level, index } = last.node;
      if (index % 2 === 0) last.node = { level: level + 1, index: index / 2 };
      if (!this.mergeLast() && index % 2 === 1) throw new TypeError(`some of ${leaves} leaves are missing`);
    }
  }

  private mergeLast(): boolean {
    const right = this.stack[this.stack.length - 1];
    const left = this.stack[this.stack.length - 2];
    const areSiblings =
      left.node.level === right.node.level &&
      left.node.index + 1 === right.node.index &&
      right.node.index % 2 === 1;
    if (!areSiblings) return false;
    this.stack.length -= 2;
    const node = { level: right.node.level + 1, index: left.node.index / 2 };
    this.stack.push({ node, value: this.add(left.value, right.value) });
    return true;
  }
}

/** The nodes that a tree holds once the leaves from … to-1 were pushed, from left to right. */
export function nodesOf(from: number, to: number): TreeNode[] {
  const tree = new ReductionTree<null>(() => null);
  for (let index = from; index < to; index++) tree.push({ level: 0, index }, null);
  return tree.nodes().map(({ node }) => node);
}
