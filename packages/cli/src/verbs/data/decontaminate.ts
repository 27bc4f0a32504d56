import { ContaminationIndex, type EvaluationItem, readEvaluationItems } from '@frugal/data';
import { CommandError } from '../../errors.js';
import { addFilterVerb, checkTargets, type FilterOptions, runFilter } from '../../filtering.js';
import { localFiles, openSources } from '../../sources.js';
import { integer, type Verb } from '../../verb.js';

interface Options extends FilterOptions {
  readonly against: readonly string[];
  readonly length: number;
}

export const decontaminateVerb: Verb = (data, context) => {
  addFilterVerb(data, {
    name: 'decontaminate',
    summary: 'remove documents that share a run of words with an evaluation set',
    notes:
      'Every text in the records of an evaluation set counts, whatever its field; one shorter than the run counts as a\n' +
      'whole from 8 words on. Case and punctuation do not matter; in Chinese, words are characters.',
    examples: [
      'frugal data decontaminate pages.jsonl --against mmlu.jsonl ceval.jsonl --out clean.jsonl',
      'frugal data decontaminate pages.jsonl --against mmlu.jsonl --out clean.jsonl --removed leaks.jsonl',
    ],
  })
    .requiredOption(
      '--against <FILES...>',
      'evaluation sets: files of records, or text with an item per paragraph; or hf:datasets/org/name',
    )
    .option('--length <N>', 'words in the run, or characters in Chinese', integer(8), 13)
    .action(async (given: readonly string[], options: Options) => {
      await checkTargets(options);
      const sources = await openSources(given, options, context);
      const { against, length } = options;
      const items: EvaluationItem[] = [];
      for await (const item of readEvaluationItems(await localFiles(against, context))) items.push(item);
      const index = new ContaminationIndex(items, { length });
      if (index.size === 0) {
        throw new CommandError({
          where: against.join(', '),
          what: 'no text of the evaluation sets is long enough to be looked for',
          got: `${items.length} texts`,
          expected: 'at least one of 8 words, or characters in Chinese',
        });
      }
      await runFilter(sources, options, context, {
        step: 'decontaminate',
        parameters: { against, length, items: index.size, tooShort: index.tooShort.length },
        judge: (document) => {
          const item = index.find(document.text);
          return item === undefined ? { keep: document } : { reason: `shares a run with ${fileOf(item)}` };
        },
      });
    });

  /** The file of an item `file:line.field` or `file#paragraph`. */
  function fileOf(item: string): string {
    return item.replace(/(:\d+[^/\\]*|#\d+)$/, '');
  }
};
