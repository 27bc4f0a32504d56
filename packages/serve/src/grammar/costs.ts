import { CheapestFirst } from './cheapest-first.js';
import type { ByteEdge, CallEdge, Network } from './network.js';
import type { Pieces } from './pieces.js';

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

/** Nodes between two pauses: far less than a millisecond. */
const PIECE = 256;

/**
 * Fewest bytes from every node to the end of its rule, over bytes that can be written alone: the grammar problem, solved by
 * Knuth's generalisation of Dijkstra's algorithm (1977). Nodes are settled in the order of their costs, so each edge is
 * looked at once, or twice where it goes through a rule.
 */
export function* cheapestWays(network: Network, isWritable: (byte: number) => boolean): Pieces<Costs> {
  const { nodes, isEnd } = network;
  const bytes = new Float64Array(nodes.length).fill(Number.POSITIVE_INFINITY);
  const steps: (Step | null)[] = nodes.map(() => null);
  const leading = yield* edgesBackwards(network, isWritable);
  const isSettled = new Uint8Array(nodes.length);
  const open = new CheapestFirst();
  const reach = (node: number, cost: number, step: Step | null) => {
    if (!(cost < bytes[node])) return;
    bytes[node] = cost;
    steps[node] = step;
    open.add(node, cost);
  };
  for (let node = 0; node < nodes.length; node++) if (isEnd[node]) reach(node, 0, null);
  let taken = 0;
  for (let node = open.take(); node !== undefined; node = open.take()) {
    if (++taken % PIECE === 0) yield;
    if (isSettled[node]) continue;
    isSettled[node] = 1;
    for (const { from, step } of leading[node] ?? []) {
      if (step.kind !== 'call') {
        reach(from, bytes[node] + (step.kind === 'byte' ? 1 : 0), step);
        continue;
      }
      const { start, target } = step.edge;
      if (isSettled[start] && isSettled[target]) reach(from, bytes[start] + bytes[target], step);
    }
  }
  return { bytes, steps };
}

interface LeadingEdge {
  readonly from: number;
  readonly step: Step;
}

/** The edges that depend on a node: those that lead to it, and those that go through the rule that it begins. */
function* edgesBackwards(
  { nodes }: Network,
  isWritable: (byte: number) => boolean,
): Pieces<readonly (readonly LeadingEdge[] | undefined)[]> {
  const leading: (LeadingEdge[] | undefined)[] = new Array(nodes.length).fill(undefined);
  const add = (node: number, edge: LeadingEdge) => {
    const list = leading[node];
    if (list) list.push(edge);
    else leading[node] = [edge];
  };
  for (const [from, { empties, calls, bytes }] of nodes.entries()) {
    if (from % PIECE === 0) yield;
    for (const target of empties) add(target, { from, step: { kind: 'empty', target } });
    for (const edge of calls)
      for (const node of [edge.start, edge.target]) add(node, { from, step: { kind: 'call', edge } });
    for (const edge of bytes) {
      const byte = firstWritable(edge, isWritable);
      if (byte >= 0) add(edge.target, { from, step: { kind: 'byte', byte, target: edge.target } });
    }
  }
  return leading;
}

/** Letters, digits and signs rather than control characters, for the eye. */
function firstWritable({ from, to }: ByteEdge, isWritable: (byte: number) => boolean): number {
  for (let byte = Math.max(from, 0x30); byte <= to; byte++) if (isWritable(byte)) return byte;
  for (let byte = from; byte <= Math.min(to, 0x2f); byte++) if (isWritable(byte)) return byte;
  return -1;
}
