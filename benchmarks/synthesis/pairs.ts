import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { textFraction } from '@frugal/data';

/** A name of a disease, and the section of ICD-10-CM that it belongs to. */
export interface Pair {
  readonly name: string;
  readonly section: string;
}

export interface Pairs {
  /** The teacher learned from these. */
  readonly labelled: readonly Pair[];
  /** Names alone are used: nobody is told their sections. */
  readonly unlabelled: readonly Pair[];
  readonly heldOut: readonly Pair[];
}

/** Names of codes below the categories, each once; the hash of a name says what it is for. */
export async function readPairs(most: { readonly each: number; readonly heldOut: number }): Promise<Pairs> {
  const file = new URL('../../../examples/expert-ecosystem/data/icd-10-cm.json.gz', import.meta.url);
  const sections = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as string[];
  const all = new Map<string, Pair>();
  for (const text of sections) {
    const [title, ...lines] = text.split('\n');
    const section = title.replace(/ \(\w+-\w+\)$/, '');
    for (const line of lines) {
      const name = /^[A-Z]\d\w\.\w+ (.{8,80})$/.exec(line)?.[1];
      if (name !== undefined && !all.has(name)) all.set(name, { name, section });
    }
  }
  const ranked = [...all.values()]
    .map((pair) => ({ pair, rank: textFraction(pair.name) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ pair }) => pair);
  const { each, heldOut } = most;
  return {
    heldOut: ranked.slice(0, heldOut),
    labelled: ranked.slice(heldOut, heldOut + each),
    unlabelled: ranked.slice(heldOut + each, heldOut + 2 * each),
  };
}
