import { CHINESE_RULES, cleanDocument, ENGLISH_RULES, LANGUAGES, type Language } from '@frugal/data';
import { UsageError } from '../../errors.js';
import { addFilterVerb, checkTargets, type FilterOptions, runFilter } from '../../filtering.js';
import { openSources } from '../../sources.js';
import type { Verb } from '../../verb.js';

interface Options extends FilterOptions {
  readonly languages: readonly string[];
  readonly without: readonly string[];
  readonly repair?: true;
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
    .option(
      '--repair',
      'put U+FFFD for what is no UTF-8 and for halves of characters, instead of refusing it',
    )
    .action(async (given: readonly string[], options: Options) => {
      const { without, repair = false } = options;
      requireKnown('--languages', options.languages, LANGUAGES);
      requireKnown('--without', without, RULES);
      const languages = options.languages as readonly Language[];
      await checkTargets(options);
      const sources = await openSources(given, options, context, { repair });
      await runFilter(sources, options, context, {
        step: 'clean',
        parameters: { languages, without, ...(repair && { repair }) },
        judge: (document) => cleanDocument(document, { languages, without }),
      });
    });
};

function requireKnown(where: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new UsageError({ where, what: 'there is no such name', got: unknown, expected: known.join(', ') });
}
