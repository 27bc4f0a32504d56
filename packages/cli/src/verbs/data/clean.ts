import { CHINESE_RULES, cleanDocument, ENGLISH_RULES, LANGUAGES, type Language } from '@frugal/data';
import { UsageError } from '../../errors.js';
import { addFilterVerb, checkTargets, type FilterOptions, runFilter } from '../../filtering.js';
import type { Verb } from '../../verb.js';

interface Options extends FilterOptions {
  readonly languages: readonly string[];
  readonly without: readonly string[];
}

const RULES = [...new Set([...ENGLISH_RULES, ...CHINESE_RULES].map(({ name }) => name))];

export const cleanVerb: Verb = (data, context) => {
  addFilterVerb(data, {
    name: 'clean',
    summary: 'normalize text and remove what is not prose, by rules for English and Chinese',
    notes: `Rules of Gopher, C4 and FineWeb, and their like for Chinese:\n  ${RULES.join(', ')}.`,
    examples: [
      'frugal data clean pages.jsonl --out clean.jsonl --removed bad.jsonl',
      'frugal data clean pages.jsonl --out clean.jsonl --languages zh --without "short lines"',
    ],
  })
    .option('--languages <CODES...>', `languages to keep: ${LANGUAGES.join(', ')}`, ['en', 'zh'])
    .option('--without <RULES...>', 'rules to leave out', [])
    .action(async (files: readonly string[], options: Options) => {
      const { without } = options;
      requireKnown('--languages', options.languages, LANGUAGES);
      requireKnown('--without', without, RULES);
      const languages = options.languages as readonly Language[];
      await checkTargets(options);
      await runFilter(files, options, context, {
        step: 'clean',
        parameters: { languages, without },
        judge: (document) => cleanDocument(document, { languages, without }),
      });
    });
};

function requireKnown(where: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new UsageError({ where, what: 'there is no such name', got: unknown, expected: known.join(', ') });
}
