import { type Costs, cheapestWays } from './costs.js';
import { GrammarError } from './grammar-error.js';
import type { Network } from './network.js';
import type { Pieces } from './pieces.js';

/** Where the rules above go on. Frames with the same contents are one. */
interface Frame {
  /** Node at which the caller goes on. */
  readonly node: number;
  readonly parent: number;
}

/** One of the ways in which a text so far can be read: a node that reads a byte, below a stack of callers. */
interface Way {
  readonly node: number;
  readonly frame: number;
}

/** No byte leads from here to a text of the grammar. */
export const DEAD = 0;
/** What follows was not worked out yet: `step` does. */
export const UNKNOWN = -1;
const BOTTOM = 0;
/** So many ways at once come only from grammars that can read one text in very many ways. */
const MOST_WAYS = 2_000;
const BYTES_PER_NODE = 600;
const BYTES_PER_WAY = 50;
/** Its name among the states, and what is known of its ending. */
const BYTES_PER_STATE = 300;
/** Ways of all states together: about 100 MB. */
const MOST_HELD_WAYS = 2_000_000;

/**
 * Reads texts of a grammar byte by byte. A state is the set of all ways in which the bytes so far can be read; states and
 * their transitions are worked out when first needed and then only looked up.
 */
export class Machine {
  readonly start: number;
  /** Nodes from which nothing but the end of the rule follows. */
  private readonly isTail: readonly boolean[];
  private readonly frames: Frame[] = [{ node: -1, parent: BOTTOM }];
  private readonly frameCosts: number[] = [0];
  private readonly frameIds = new Map<number, Map<number, number>>();
  private readonly ways: (readonly Way[])[] = [[]];
  private readonly accepting: boolean[] = [false];
  private readonly ends: number[] = [Number.POSITIVE_INFINITY];
  private readonly ids = new Map<string, number>();
  /** Bytes that no edge tells apart are one class. */
  readonly classes: Uint8Array;
  readonly classCount: number;
  private table: Int32Array;
  private held = 0;

  private constructor(
    private readonly network: Network,
    private readonly costs: Costs,
  ) {
    this.isTail = tailNodes(network);
    ({ classes: this.classes, count: this.classCount } = byteClasses(network));
    this.table = new Int32Array(64 * this.classCount).fill(UNKNOWN);
    this.table.fill(DEAD, 0, this.classCount);
    this.start = this.intern([{ node: network.start, frame: BOTTOM }]);
  }

  /** `isWritable`: whether a byte can be written alone. */
  static *of(network: Network, isWritable: (byte: number) => boolean): Pieces<Machine> {
    const costs = yield* cheapestWays(network, isWritable);
    return new Machine(network, costs);
  }

  /** The state that follows on `state` by a byte, at `state * classCount + classes[byte]`. Another array when it has grown. */
  get transitions(): Int32Array {
    return this.table;
  }

  /** How many states were worked out. */
  get size(): number {
    return this.ways.length;
  }

  /** About the memory of the grammar, and of all that was worked out. */
  get bytes(): number {
    const { table, held, size, network } = this;
    return (
      table.byteLength + BYTES_PER_WAY * held + BYTES_PER_STATE * size + BYTES_PER_NODE * network.nodes.length
    );
  }

  /** Whether so much was worked out that what comes may be refused. */
  get isNearlyFull(): boolean {
    return this.held > MOST_HELD_WAYS / 4;
  }

  /** The state after one more byte. */
  step(state: number, byte: number): number {
    const at = state * this.classCount + this.classes[byte];
    const known = this.table[at];
    if (known !== UNKNOWN) return known;
    const next = this.intern(this.read(state, byte));
    this.table[at] = next;
    return next;
  }

  /** Whether the text may end here. */
  isAccepting(state: number): boolean {
    return this.accepting[state];
  }

  /** Whether the text must end here. */
  isFinal(state: number): boolean {
    return this.ways[state].length === 0;
  }

  /** Fewest bytes to the end of a text, each written alone; infinite when it cannot end so. */
  bytesToEnd(state: number): number {
    return this.ends[state];
  }

  /** The bytes of the shortest ending. */
  shortestEnding(state: number): Uint8Array {
    const length = this.bytesToEnd(state);
    if (!Number.isFinite(length)) return new Uint8Array();
    const bytes = new Uint8Array(length);
    let way = this.ways[state].find((each) => this.costOf(each) === length) as Way;
    for (let written = 0; written < length; ) {
      const step = this.costs.steps[way.node];
      if (!step) {
        const { node, parent } = this.frames[way.frame];
        way = { node, frame: parent };
      } else if (step.kind === 'call') {
        way = { node: step.edge.start, frame: this.push(step.edge.target, way.frame) };
      } else {
        if (step.kind === 'byte') bytes[written++] = step.byte;
        way = { node: step.target, frame: way.frame };
      }
    }
    return bytes;
  }

  private costOf({ node, frame }: Way): number {
    return this.costs.bytes[node] + this.frameCosts[frame];
  }

  private read(state: number, byte: number): Way[] {
    const next: Way[] = [];
    for (const { node, frame } of this.ways[state]) {
      for (const edge of this.network.nodes[node].bytes)
        if (edge.from <= byte && byte <= edge.to) next.push({ node: edge.target, frame });
    }
    return next;
  }

  /** The state of some ways and all that follow from them without a byte. */
  private intern(seeds: readonly Way[]): number {
    const { ways, accepts } = this.close(seeds);
    if (ways.length === 0 && !accepts) return DEAD;
    ways.sort((a, b) => a.node - b.node || a.frame - b.frame);
    let key = accepts ? '!' : '';
    for (const { node, frame } of ways) key += `${node}.${frame} `;
    const known = this.ids.get(key);
    if (known !== undefined) return known;
    this.held += ways.length;
    if (this.held > MOST_HELD_WAYS) throw tooAmbiguous();
    const id = this.ways.push(ways) - 1;
    this.accepting.push(accepts);
    this.ends.push(accepts ? 0 : ways.reduce((least, way) => Math.min(least, this.costOf(way)), Infinity));
    this.ids.set(key, id);
    this.grow();
    return id;
  }

  private close(seeds: readonly Way[]): { ways: Way[]; accepts: boolean } {
    const open = [...seeds];
    const seen = new Set<number>();
    const ways: Way[] = [];
    let accepts = false;
    const { nodes, isEnd } = this.network;
    for (let way = open.pop(); way; way = open.pop()) {
      const { node, frame } = way;
      const key = node * 2 ** 26 + frame;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > MOST_WAYS) throw tooAmbiguous();
      if (isEnd[node]) {
        if (frame === BOTTOM) accepts = true;
        else open.push({ node: this.frames[frame].node, frame: this.frames[frame].parent });
      }
      const { bytes, calls, empties } = nodes[node];
      if (bytes.length > 0) ways.push(way);
      for (const target of empties) open.push({ node: target, frame });
      for (const { start, target } of calls) open.push({ node: start, frame: this.push(target, frame) });
    }
    return { ways, accepts };
  }

  /** A caller that has nothing left to do but return need not be returned to: lists do not pile up frames. */
  private push(node: number, parent: number): number {
    if (this.isTail[node]) return parent;
    const siblings = this.frameIds.get(parent) ?? new Map<number, number>();
    this.frameIds.set(parent, siblings);
    const known = siblings.get(node);
    if (known !== undefined) return known;
    const id = this.frames.push({ node, parent }) - 1;
    this.frameCosts.push(this.costs.bytes[node] + this.frameCosts[parent]);
    siblings.set(node, id);
    return id;
  }

  private grow(): void {
    const needed = this.ways.length * this.classCount;
    if (needed <= this.table.length) return;
    const larger = new Int32Array(2 * needed).fill(UNKNOWN);
    larger.set(this.table);
    this.table = larger;
  }
}

function tailNodes({ nodes, isEnd }: Network): boolean[] {
  const isTail = [...isEnd];
  for (let changed = true; changed; ) {
    changed = false;
    for (let node = nodes.length - 1; node >= 0; node--) {
      const { bytes, calls, empties } = nodes[node];
      if (isTail[node] || bytes.length + calls.length > 0 || empties.length === 0) continue;
      if (!empties.every((target) => isTail[target])) continue;
      isTail[node] = true;
      changed = true;
    }
  }
  return isTail;
}

function byteClasses({ nodes }: Network): { classes: Uint8Array; count: number } {
  const begins = new Uint8Array(257);
  for (const { bytes } of nodes) {
    for (const { from, to } of bytes) {
      begins[from] = 1;
      begins[to + 1] = 1;
    }
  }
  const classes = new Uint8Array(256);
  let last = 0;
  for (let byte = 1; byte < 256; byte++) classes[byte] = begins[byte] ? ++last : last;
  return { classes, count: last + 1 };
}

function tooAmbiguous(): GrammarError {
  return new GrammarError('grammar', {
    what: 'the grammar can read a text in too many ways at once',
    got: `more than ${MOST_WAYS}`,
    hint: 'Avoid alternatives and repetitions that match the same texts.',
  });
}
