import { deduplicate } from '@frugal/data';
import {
  addFilterVerb,
  checkTargets,
  type FilterOptions,
  runFilter,
  totalBytes,
  watch,
} from '../../filtering.js';
import { startProgress } from '../../progress.js';
import { openSources } from '../../sources.js';
import { integer, number, type Verb } from '../../verb.js';

interface Options extends FilterOptions {
  readonly threshold: number;
  readonly shingle: number;
}

export const dedupVerb: Verb = (data, context) => {
  addFilterVerb(data, {
    name: 'dedup',
    summary: 'remove copies: exact ones, and near ones by MinHash',
    notes:
      'The first of a group of copies stays. Near copies share runs of words (of characters in Chinese), whatever the\n' +
      'case and punctuation; those that signatures find are then compared whole, so that nothing below the threshold\n' +
      'goes. Memory is about 200 bytes a document and 64 MB for texts that wait to be compared; files are read three\n' +
      'times, or more where those are more. The same files in the same order always give the same result.',
    examples: [
      'frugal data dedup pages.jsonl --out unique.jsonl',
      'frugal data dedup pages.jsonl more.jsonl --out unique.jsonl --threshold 1    # exact copies alone',
    ],
  })
    .option(
      '--threshold <SHARE>',
      'Jaccard similarity from which texts are copies; 1: exact ones alone',
      number(0.1, 1),
      0.8,
    )
    .option('--shingle <N>', 'words in a run, or characters in Chinese', integer(1), 5)
    .action(async (given: readonly string[], options: Options) => {
      await checkTargets(options);
      const sources = await openSources(given, options, context);
      const { threshold, shingle } = options;
      const total = await totalBytes(sources.files);
      let step = 'sign';
      const duplicates = await deduplicate(
        async function* () {
          const progress = startProgress(context, step);
          step = 'compare';
          try {
            const seen = watch(context, total, progress.update);
            for await (const { text } of sources.documents()) {
              seen(text.length);
              yield text;
            }
          } finally {
            progress.stop();
          }
        },
        { threshold, shingle },
      );
      await runFilter(sources, options, context, {
        step: 'dedup',
        parameters: { threshold, shingle },
        judge: (document, position) => {
          if (duplicates.originalOf(position) === position) return { keep: document };
          return { reason: duplicates.isExact(position) ? 'exact copy' : 'near copy' };
        },
      });
    });
};
