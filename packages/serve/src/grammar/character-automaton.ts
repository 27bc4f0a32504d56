import { type CharacterSet, characterSet, intersection } from './character-set.js';
import { characters, type Expression, type GraphEdge } from './expression.js';
import { GrammarError } from './grammar-error.js';

/** A deterministic automaton over characters; state 0 is the first one. */
export interface CharacterAutomaton {
  readonly accepting: readonly boolean[];
  /** By state; the sets of a state do not overlap. */
  readonly edges: readonly (readonly CharacterEdge[])[];
}

export interface CharacterEdge {
  readonly set: CharacterSet;
  readonly target: number;
}

/** Larger automata are refused: some short expressions need exponentially many states. */
const MOST_STATES = 20_000;

/** The texts that match all expressions, which name no rules. @throws GrammarError when that takes too many states */
export function allOf(expressions: readonly Expression[]): Expression {
  const automata = expressions.map(automatonOf);
  return expressionOf(automata.reduce(intersect));
}

/** Subset construction (Rabin and Scott 1959). */
export function automatonOf(expression: Expression): CharacterAutomaton {
  const nodes = characterNodes(expression);
  const accepting: boolean[] = [];
  const edges: CharacterEdge[][] = [];
  const ids = new Map<string, number>();
  const sets: number[][] = [];
  const intern = (seeds: readonly number[]): number => {
    const closed = [...closure(nodes, seeds)].sort((a, b) => a - b);
    const key = closed.join();
    const known = ids.get(key);
    if (known !== undefined) return known;
    if (sets.length >= MOST_STATES) throw tooLarge();
    ids.set(key, sets.length);
    return sets.push(closed) - 1;
  };
  intern([0]);
  for (let state = 0; state < sets.length; state++) {
    accepting.push(sets[state].includes(1));
    edges.push(
      disjoint(sets[state].flatMap((node) => nodes[node].edges)).map(({ set, targets }) => ({
        set,
        target: intern(targets),
      })),
    );
  }
  return { accepting, edges };
}

/** The texts of both: the product of the automata. */
export function intersect(a: CharacterAutomaton, b: CharacterAutomaton): CharacterAutomaton {
  const accepting: boolean[] = [];
  const edges: CharacterEdge[][] = [];
  const ids = new Map<number, number>();
  const pairs: (readonly [number, number])[] = [];
  const intern = (left: number, right: number): number => {
    const key = left * b.edges.length + right;
    const known = ids.get(key);
    if (known !== undefined) return known;
    if (pairs.length >= MOST_STATES) throw tooLarge();
    ids.set(key, pairs.length);
    return pairs.push([left, right]) - 1;
  };
  intern(0, 0);
  for (let state = 0; state < pairs.length; state++) {
    const [left, right] = pairs[state];
    accepting.push(a.accepting[left] && b.accepting[right]);
    edges.push([]);
    for (const first of a.edges[left]) {
      for (const second of b.edges[right]) {
        const set = intersection(first.set, second.set);
        if (set.length > 0) edges[state].push({ set, target: intern(first.target, second.target) });
      }
    }
  }
  return { accepting, edges };
}

export function expressionOf({ accepting, edges }: CharacterAutomaton): Expression {
  const end = edges.length;
  const graph: GraphEdge[] = edges.flatMap((list, from) =>
    list.map(({ set, target }) => ({ from, to: target, expression: characters(set) })),
  );
  accepting.forEach((accepts, from) => {
    if (accepts) graph.push({ from, to: end });
  });
  return { kind: 'graph', nodes: end + 1, start: 0, end, edges: graph };
}

interface CharacterNode {
  readonly edges: { readonly set: CharacterSet; readonly target: number }[];
  readonly empties: number[];
}

/** Thompson's construction: from node 0 to node 1. */
function characterNodes(expression: Expression): CharacterNode[] {
  const nodes: CharacterNode[] = [];
  const add = () => {
    if (nodes.length >= 10 * MOST_STATES) throw tooLarge();
    return nodes.push({ edges: [], empties: [] }) - 1;
  };
  const connect = (part: Expression, from: number, to: number): void => {
    switch (part.kind) {
      case 'characters':
        nodes[from].edges.push({ set: part.set, target: to });
        return;
      case 'sequence': {
        const last = part.items.reduce((node, item) => {
          const next = add();
          connect(item, node, next);
          return next;
        }, from);
        nodes[last].empties.push(to);
        return;
      }
      case 'choice':
        for (const item of part.items) connect(item, from, to);
        return;
      case 'repeat':
        connectRepeat(part, from, to);
        return;
      case 'graph': {
        const own = Array.from({ length: part.nodes }, add);
        nodes[from].empties.push(own[part.start]);
        nodes[own[part.end]].empties.push(to);
        for (const edge of part.edges) {
          if (edge.expression) connect(edge.expression, own[edge.from], own[edge.to]);
          else nodes[own[edge.from]].empties.push(own[edge.to]);
        }
        return;
      }
      case 'rule':
        throw new GrammarError('grammar', { what: 'a rule cannot stand here', got: part.name });
    }
  };
  const connectRepeat = (
    { item, min, max }: Extract<Expression, { kind: 'repeat' }>,
    from: number,
    to: number,
  ) => {
    let node = from;
    const once = () => {
      const next = add();
      connect(item, node, next);
      node = next;
    };
    for (let i = 0; i < min; i++) once();
    if (max === Number.POSITIVE_INFINITY) {
      const loop = add();
      nodes[node].empties.push(loop);
      const back = add();
      connect(item, loop, back);
      nodes[back].empties.push(loop);
      nodes[loop].empties.push(to);
      return;
    }
    for (let i = min; i < max; i++) {
      nodes[node].empties.push(to);
      once();
    }
    nodes[node].empties.push(to);
  };
  add();
  add();
  connect(expression, 0, 1);
  return nodes;
}

function closure(nodes: readonly CharacterNode[], seeds: readonly number[]): Set<number> {
  const seen = new Set(seeds);
  for (const node of seen) for (const target of nodes[node].empties) seen.add(target);
  return seen;
}

/** Cuts overlapping sets into ones that do not overlap, each with all its targets. */
function disjoint(
  edges: readonly CharacterEdge[],
): readonly { readonly set: CharacterSet; readonly targets: readonly number[] }[] {
  const borders = new Set<number>();
  for (const { set } of edges) {
    for (const [from, to] of set) {
      borders.add(from);
      borders.add(to + 1);
    }
  }
  const sorted = [...borders].sort((a, b) => a - b);
  const byTargets = new Map<string, { ranges: [number, number][]; targets: number[] }>();
  for (let i = 0; i + 1 < sorted.length; i++) {
    const from = sorted[i];
    const targets = edges.filter(({ set }) => holds(set, from)).map(({ target }) => target);
    if (targets.length === 0) continue;
    const unique = [...new Set(targets)].sort((a, b) => a - b);
    const entry = byTargets.get(unique.join()) ?? { ranges: [], targets: unique };
    entry.ranges.push([from, sorted[i + 1] - 1]);
    byTargets.set(unique.join(), entry);
  }
  return [...byTargets.values()].map(({ ranges, targets }) => ({ set: characterSet(ranges), targets }));
}

function holds(set: CharacterSet, code: number): boolean {
  return set.some(([from, to]) => from <= code && code <= to);
}

function tooLarge(): GrammarError {
  return new GrammarError('regex', {
    what: 'the expression is too large to combine with others',
    got: `more than ${MOST_STATES} states`,
    hint: 'Use a simpler pattern, or smaller bounds beside it.',
  });
}
