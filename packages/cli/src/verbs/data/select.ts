import { DomainClassifier, textFraction } from '@frugal/data';
import { addFilterVerb, checkTargets, type FilterOptions, runFilter } from '../../filtering.js';
import { openSources, requireDocuments, type Sources } from '../../sources.js';
import { number, type Verb } from '../../verb.js';

interface Options extends FilterOptions {
  readonly like: readonly string[];
  readonly above: number;
}

/** More examples of a side make the classifier slower and hardly better. */
const EXAMPLES = 10_000;

export const selectVerb: Verb = (data, context) => {
  addFilterVerb(data, {
    name: 'select',
    summary: 'keep documents that are like those of a domain, by a classifier trained on the spot',
    notes:
      'Trains a logistic regression over words and pairs of words to tell the documents of --like from those of FILES, and\n' +
      'keeps what scores above a limit. A tenth of the examples is held out; the lineage card says how well these are told\n' +
      'apart (area under the ROC curve: 0.5 by chance, 1 always).',
    examples: ['frugal data select pages.jsonl --like medicine.jsonl --out medical-pages.jsonl --above 0.8'],
  })
    .requiredOption('--like <FILES...>', 'documents of the domain')
    .option('--above <P>', 'probability from which a document is kept', number(0, 1), 0.5)
    .action(async (given: readonly string[], options: Options) => {
      await checkTargets(options);
      const sources = await openSources(given, options, context);
      const { like, above } = options;
      const [domain, others] = [
        await examplesOf(await openSources(like, options, context)),
        await examplesOf(sources),
      ];
      requireDocuments('--like', domain.length, like);
      requireDocuments('select', others.length, given);
      const { classifier, heldOutAuc } = DomainClassifier.train(domain, others);
      await runFilter(sources, options, context, {
        step: 'select',
        parameters: { like, above, examples: [domain.length, others.length], heldOutAuc },
        judge: (document) =>
          classifier.score(document.text) >= above ? { keep: document } : { reason: 'another domain' },
      });
    });
};

/** At most EXAMPLES texts, those whose hashes are least: a fair sample that is the same in every run. */
async function examplesOf(sources: Sources): Promise<string[]> {
  let sample: { text: string; rank: number }[] = [];
  for await (const { text } of sources.documents()) {
    sample.push({ text, rank: textFraction(`sample ${text}`) });
    if (sample.length >= 2 * EXAMPLES) sample = least(sample);
  }
  return least(sample).map(({ text }) => text);
}

function least<T extends { readonly rank: number }>(sample: readonly T[]): T[] {
  return [...sample].sort((a, b) => a.rank - b.rank).slice(0, EXAMPLES);
}
