import { type CharacterSet, characterSet, codePoint } from './character-set.js';

/** What a text may be: a regular expression over characters that can also name rules. */
export type Expression =
  | { readonly kind: 'characters'; readonly set: CharacterSet }
  | { readonly kind: 'sequence'; readonly items: readonly Expression[] }
  | { readonly kind: 'choice'; readonly items: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly item: Expression; readonly min: number; readonly max: number }
  | { readonly kind: 'rule'; readonly name: string }
  | GraphExpression;

/** A way from node `start` to node `end`, with an expression along each edge; without one it is free. */
export interface GraphExpression {
  readonly kind: 'graph';
  readonly nodes: number;
  readonly start: number;
  readonly end: number;
  readonly edges: readonly GraphEdge[];
}

export interface GraphEdge {
  readonly from: number;
  readonly to: number;
  readonly expression?: Expression | undefined;
}

/** Rules by name. `start` is where a text begins. */
export interface Grammar {
  readonly start: string;
  readonly rules: ReadonlyMap<string, Expression>;
}

export const EMPTY: Expression = { kind: 'sequence', items: [] };

export function characters(set: CharacterSet): Expression {
  return { kind: 'characters', set };
}

/** Exactly this text. */
export function literal(text: string): Expression {
  return sequence(
    ...Array.from(text, (each) => characters(characterSet([[codePoint(each), codePoint(each)]]))),
  );
}

export function sequence(...items: readonly Expression[]): Expression {
  return items.length === 1 ? items[0] : { kind: 'sequence', items };
}

export function choice(...items: readonly Expression[]): Expression {
  return items.length === 1 ? items[0] : { kind: 'choice', items };
}

export function repeat(item: Expression, min: number, max = Number.POSITIVE_INFINITY): Expression {
  return { kind: 'repeat', item, min, max };
}

export function optional(item: Expression): Expression {
  return repeat(item, 0, 1);
}

export function rule(name: string): Expression {
  return { kind: 'rule', name };
}

/** One of these texts, beginnings in common: any number of them costs no more than their characters. */
export function oneOfTexts(texts: readonly string[]): Expression {
  const edges: GraphEdge[] = [];
  const children: Map<string, number>[] = [new Map(), new Map()];
  const [start, end] = [0, 1];
  for (const text of new Set(texts)) {
    let node = start;
    for (const each of text) {
      let next = children[node].get(each);
      if (next === undefined) {
        next = children.push(new Map()) - 1;
        children[node].set(each, next);
        edges.push({ from: node, to: next, expression: literal(each) });
      }
      node = next;
    }
    edges.push({ from: node, to: end });
  }
  return { kind: 'graph', nodes: children.length, start, end, edges };
}
