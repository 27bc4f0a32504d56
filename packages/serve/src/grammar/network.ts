import type { CharacterSet } from './character-set.js';
import type { Expression, Grammar, GraphExpression } from './expression.js';
import { GrammarError } from './grammar-error.js';
import type { Pieces } from './pieces.js';
import { utf8Sequences } from './utf8.js';

export interface ByteEdge {
  readonly from: number;
  readonly to: number;
  readonly target: number;
}

/** Goes through a rule, and on at `target`. */
export interface CallEdge {
  /** First and last node of the rule. */
  readonly start: number;
  readonly target: number;
}

export interface NetworkNode {
  readonly bytes: ByteEdge[];
  readonly calls: CallEdge[];
  readonly empties: number[];
}

/**
 * A grammar as a recursive transition network over bytes (Woods 1970): nodes with edges that read a byte, read nothing, or
 * go through another rule. Every rule has a node where it starts and one where it ends.
 */
export interface Network {
  readonly nodes: readonly NetworkNode[];
  readonly start: number;
  /** Whether a rule ends at this node. */
  readonly isEnd: readonly boolean[];
  /** By the start of a rule. */
  readonly endOf: ReadonlyMap<number, number>;
}

/** A grammar of more nodes is refused: what is compiled for it grows with them. */
export const MOST_NODES = 200_000;

/** @throws GrammarError for a rule that does not exist, and for a grammar that is too large or left-recursive */
export function* buildNetwork(grammar: Grammar): Pieces<Network> {
  const builder = new NetworkBuilder(grammar);
  const network = yield* builder.build();
  yield* requireProgress(network, builder.names);
  return network;
}

class NetworkBuilder {
  readonly names = new Map<number, string>();
  private readonly nodes: NetworkNode[] = [];
  private readonly isEnd: boolean[] = [];
  private readonly endOf = new Map<number, number>();
  private readonly starts = new Map<string, number>();
  private readonly open: { readonly expression: Expression; readonly start: number }[] = [];
  private readonly anonymous = new Map<Expression, number>();
  private readonly sets = new Map<string, number>();

  constructor(private readonly grammar: Grammar) {}

  *build(): Pieces<Network> {
    const start = this.named(this.grammar.start);
    for (let next = this.open.pop(); next; next = this.open.pop()) {
      yield;
      this.connect(next.expression, next.start, this.endOf.get(next.start) as number);
    }
    return { nodes: this.nodes, start, isEnd: this.isEnd, endOf: this.endOf };
  }

  private named(name: string): number {
    const known = this.starts.get(name);
    if (known !== undefined) return known;
    const expression = this.grammar.rules.get(name);
    if (!expression) throw new GrammarError('grammar', { what: 'there is no such rule', got: name });
    const start = this.startRule(expression);
    this.starts.set(name, start);
    this.names.set(start, name);
    return start;
  }

  private startRule(expression: Expression): number {
    const start = this.addNode();
    const end = this.addNode();
    this.isEnd[end] = true;
    this.endOf.set(start, end);
    this.open.push({ expression, start });
    return start;
  }

  private addNode(): number {
    if (this.nodes.length >= MOST_NODES) {
      throw new GrammarError('grammar', {
        what: 'the grammar is too large',
        got: `more than ${MOST_NODES} nodes`,
        hint: 'Ask for fewer repetitions, shorter strings or smaller enums.',
      });
    }
    this.isEnd.push(false);
    return this.nodes.push({ bytes: [], calls: [], empties: [] }) - 1;
  }

  /** Adds the ways through an expression. They never lead back to `from`, nor on from `to`. */
  private connect(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case 'characters':
        this.connectSet(expression.set, from, to);
        return;
      case 'sequence':
        this.connectChain(expression.items, from, to);
        return;
      case 'choice':
        for (const item of expression.items) this.connect(item, from, to);
        return;
      case 'repeat':
        this.connectRepeat(expression, from, to);
        return;
      case 'rule':
        this.nodes[from].calls.push({ start: this.named(expression.name), target: to });
        return;
      case 'graph':
        this.connectGraph(expression, from, to);
        return;
    }
  }

  private connectChain(items: readonly Expression[], from: number, to: number): void {
    if (items.length === 0) this.nodes[from].empties.push(to);
    let node = from;
    items.forEach((item, i) => {
      const next = i === items.length - 1 ? to : this.addNode();
      this.connect(item, node, next);
      node = next;
    });
  }

  private connectRepeat(
    { item, min, max }: Extract<Expression, { kind: 'repeat' }>,
    from: number,
    to: number,
  ): void {
    const once = max > 1 ? this.shared(item) : item;
    let node = from;
    for (let i = 0; i < min; i++) {
      const next = this.addNode();
      this.connect(once, node, next);
      node = next;
    }
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.addNode();
      const back = this.addNode();
      this.nodes[node].empties.push(loop);
      this.connect(once, loop, back);
      this.nodes[back].empties.push(loop);
      this.nodes[loop].empties.push(to);
      return;
    }
    for (let i = min; i < max; i++) {
      const next = this.addNode();
      this.nodes[node].empties.push(to);
      this.connect(once, node, next);
      node = next;
    }
    this.nodes[node].empties.push(to);
  }

  /** What is repeated stands once, as a rule, unless it is as short as naming a rule. */
  private shared(item: Expression): Expression {
    if (item.kind === 'characters' || item.kind === 'rule') return item;
    return { kind: 'rule', name: this.nameOf(item) };
  }

  private nameOf(item: Expression): string {
    const known = this.anonymous.get(item) ?? this.startRule(item);
    this.anonymous.set(item, known);
    const name = ` ${known}`; // no grammar can write such a name
    this.starts.set(name, known);
    return name;
  }

  private connectGraph({ nodes, start, end, edges }: GraphExpression, from: number, to: number): void {
    const own = Array.from({ length: nodes }, () => this.addNode());
    this.nodes[from].empties.push(own[start]);
    this.nodes[own[end]].empties.push(to);
    for (const edge of edges) {
      if (edge.expression) this.connect(edge.expression, own[edge.from], own[edge.to]);
      else this.nodes[own[edge.from]].empties.push(own[edge.to]);
    }
  }

  /** Sets beyond ASCII need several nodes: they are rules, so that each stands once. */
  private connectSet(set: CharacterSet, from: number, to: number): void {
    if (set.every(([, last]) => last < 0x80)) {
      for (const [first, last] of set) this.nodes[from].bytes.push({ from: first, to: last, target: to });
      return;
    }
    const key = set.join();
    let start = this.sets.get(key);
    if (start === undefined) {
      start = this.addNode();
      const end = this.addNode();
      this.isEnd[end] = true;
      this.endOf.set(start, end);
      this.sets.set(key, start);
      for (const range of set) for (const bytes of utf8Sequences(range)) this.connectBytes(bytes, start, end);
    }
    this.nodes[from].calls.push({ start, target: to });
  }

  private connectBytes(bytes: readonly (readonly [number, number])[], from: number, to: number): void {
    let node = from;
    bytes.forEach(([first, last], i) => {
      const target = i === bytes.length - 1 ? to : this.addNode();
      this.nodes[node].bytes.push({ from: first, to: last, target });
      node = target;
    });
  }
}

/** A rule must not come back to itself before it has read a byte: it would never end. */
function* requireProgress({ nodes, endOf }: Network, names: ReadonlyMap<number, string>): Pieces<void> {
  const nullable = yield* nullableRules(nodes, endOf);
  const done = new Set<number>();
  for (const root of endOf.keys()) {
    yield;
    // Depth first over the rules that can begin a rule, without recursion: chains of rules may be long.
    const path: { readonly start: number; readonly next: number[] }[] = [];
    const onPath = new Set<number>();
    const enter = (start: number) => {
      path.push({ start, next: firstCalls(nodes, start, nullable) });
      onPath.add(start);
    };
    if (!done.has(root)) enter(root);
    while (path.length > 0) {
      const { start, next } = path[path.length - 1];
      const call = next.pop();
      if (call === undefined) {
        path.pop();
        onPath.delete(start);
        done.add(start);
      } else if (onPath.has(call)) {
        const name = [...path].reverse().find((entry) => names.has(entry.start))?.start ?? call;
        throw new GrammarError('grammar', {
          what: 'a rule begins with itself',
          got: names.get(call) ?? names.get(name) ?? 'an unnamed rule',
          hint: 'Write the repetition behind what it repeats.',
        });
      } else if (!done.has(call)) enter(call);
    }
  }
}

/** Rules that a node sequence can go through before any byte is read. */
function firstCalls(nodes: readonly NetworkNode[], start: number, nullable: ReadonlySet<number>): number[] {
  const seen = new Set([start]);
  const found: number[] = [];
  for (const node of seen) {
    for (const target of nodes[node].empties) seen.add(target);
    for (const call of nodes[node].calls) {
      found.push(call.start);
      if (nullable.has(call.start)) seen.add(call.target);
    }
  }
  return found;
}

/** Starts of the rules that can read nothing. */
function* nullableRules(
  nodes: readonly NetworkNode[],
  endOf: ReadonlyMap<number, number>,
): Pieces<ReadonlySet<number>> {
  const nullable = new Set<number>();
  for (let before = -1; before !== nullable.size; ) {
    before = nullable.size;
    for (const [start, end] of endOf) {
      yield;
      if (nullable.has(start)) continue;
      const seen = new Set([start]);
      for (const node of seen) {
        for (const target of nodes[node].empties) seen.add(target);
        for (const call of nodes[node].calls) if (nullable.has(call.start)) seen.add(call.target);
      }
      if (seen.has(end)) nullable.add(start);
    }
  }
  return nullable;
}
