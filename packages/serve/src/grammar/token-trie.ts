import type { Tokenizer } from '@frugal/tokenizers';

/**
 * The bytes of all ordinary tokens as a trie in preorder: node n adds `byte[n]` at depth `depth[n]`, the nodes below it
 * are those up to `end[n]`, and the tokens that are spelled so far are `tokens` from `first[n]` to `first[n + 1]`.
 */
export interface TokenTrie {
  readonly vocabularySize: number;
  readonly nodes: number;
  readonly byte: Uint8Array;
  readonly depth: Uint16Array;
  readonly end: Int32Array;
  readonly first: Int32Array;
  readonly tokens: Int32Array;
  /** Whether a byte is a token of its own. */
  isWritable(byte: number): boolean;
  bytesOf(token: number): Uint8Array;
}

const tries = new WeakMap<Tokenizer, Map<string, TokenTrie>>();

/**
 * The trie of a tokenizer, built once. Neither special tokens are in it, which no text spells, unless they are among
 * `marks`, nor `excluded` ones.
 */
export function tokenTrie(
  tokenizer: Tokenizer,
  excluded: ReadonlySet<number> = new Set(),
  marks: readonly string[] = [],
): TokenTrie {
  const known = tries.get(tokenizer) ?? new Map<string, TokenTrie>();
  tries.set(tokenizer, known);
  const ids = marks.flatMap((mark) => tokenizer.idOf(mark) ?? []);
  const spelled = new Set(ids.filter((id) => tokenizer.isSpecial(id) && !excluded.has(id)));
  const key = [[...excluded].join(), [...spelled].join()].join(' ');
  const trie = known.get(key) ?? buildTrie(tokenizer, excluded, spelled);
  known.set(key, trie);
  return trie;
}

function buildTrie(
  tokenizer: Tokenizer,
  excluded: ReadonlySet<number>,
  spelled: ReadonlySet<number>,
): TokenTrie {
  const { vocabularySize } = tokenizer;
  const spellings = Array.from({ length: vocabularySize }, (_, id) =>
    (tokenizer.isSpecial(id) && !spelled.has(id)) || excluded.has(id)
      ? new Uint8Array()
      : tokenizer.tokenBytes(id),
  );
  const ids = spellings.map((_, id) => id).filter((id) => spellings[id].length > 0);
  ids.sort((a, b) => Buffer.compare(spellings[a], spellings[b]) || a - b);

  const most = ids.reduce((sum, id) => sum + spellings[id].length, 0);
  const byte = new Uint8Array(most);
  const depth = new Uint16Array(most);
  const end = new Int32Array(most);
  const first = new Int32Array(most + 1);
  const path: number[] = []; // nodes of the token before
  let nodes = 0;
  const leave = (common: number) => {
    while (path.length > common) end[path.pop() as number] = nodes;
  };
  ids.forEach((id, i) => {
    const spelling = spellings[id];
    let common = 0;
    while (common < path.length && common < spelling.length && byte[path[common]] === spelling[common])
      common++;
    leave(common);
    for (let at = common; at < spelling.length; at++) {
      byte[nodes] = spelling[at];
      depth[nodes] = at;
      first[nodes] = i;
      path.push(nodes++);
    }
  });
  leave(0);
  first[nodes] = ids.length;
  const single = new Set(spellings.filter(({ length }) => length === 1).map(([only]) => only));
  return {
    ...{ vocabularySize, nodes, byte, depth, end, first },
    tokens: Int32Array.from(ids),
    isWritable: (each) => single.has(each),
    bytesOf: (token) => spellings[token] ?? new Uint8Array(),
  };
}
