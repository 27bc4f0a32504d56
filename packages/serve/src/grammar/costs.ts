import type { ByteEdge, CallEdge, Network } from './network.js';

/** How a node gets to the end of its rule with the fewest bytes. */
export type Step =
  | { readonly kind: 'byte'; readonly byte: number; readonly target: number }
  | { readonly kind: 'call'; readonly edge: CallEdge }
  | { readonly kind: 'empty'; readonly target: number };

/** The cheapest way on from each node to the end of its rule. */
export interface Costs {
  /** Bytes; infinite where there is no way. */
  readonly bytes: Float64Array;
  readonly steps: readonly (Step | null)[];
}

/**
 * Fewest bytes from every node to the end of its rule, over bytes that can be written alone: the grammar problem of
 * Knuth 1977, solved by relaxation.
 */
export function cheapestWays(network: Network, isWritable: (byte: number) => boolean): Costs {
  const { nodes, isEnd } = network;
  const bytes = Float64Array.from(isEnd, (end) => (end ? 0 : Number.POSITIVE_INFINITY));
  const steps: (Step | null)[] = nodes.map(() => null);
  const single = new Map<ByteEdge, number>();
  const writable = (edge: ByteEdge): number => {
    const known = single.get(edge) ?? firstWritable(edge, isWritable);
    single.set(edge, known);
    return known;
  };
  for (let changed = true; changed; ) {
    changed = false;
    const relax = (node: number, cost: number, step: () => Step) => {
      if (!(cost < bytes[node])) return;
      bytes[node] = cost;
      steps[node] = step();
      changed = true;
    };
    // Backwards: nodes mostly lead to later ones.
    for (let node = nodes.length - 1; node >= 0; node--) {
      for (const target of nodes[node].empties) relax(node, bytes[target], () => ({ kind: 'empty', target }));
      for (const edge of nodes[node].calls)
        relax(node, bytes[edge.start] + bytes[edge.target], () => ({ kind: 'call', edge }));
      for (const edge of nodes[node].bytes) {
        const byte = writable(edge);
        if (byte >= 0)
          relax(node, 1 + bytes[edge.target], () => ({ kind: 'byte', byte, target: edge.target }));
      }
    }
  }
  return { bytes, steps };
}

/** Letters, digits and signs rather than control characters, for the eye. */
function firstWritable({ from, to }: ByteEdge, isWritable: (byte: number) => boolean): number {
  for (let byte = Math.max(from, 0x30); byte <= to; byte++) if (isWritable(byte)) return byte;
  for (let byte = from; byte <= Math.min(to, 0x2f); byte++) if (isWritable(byte)) return byte;
  return -1;
}
