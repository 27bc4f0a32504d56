import { join } from 'node:path';
import { formatBytes, formatDuration } from '@frugal/report';
import { saveTokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { printJson } from '../../context.js';
import { refuseExisting } from '../../files.js';
import { startProgress } from '../../progress.js';
import {
  addSourceOptions,
  FILES_ARGUMENT,
  openSources,
  requireDocuments,
  type SourceOptions,
  type Sources,
} from '../../sources.js';
import {
  addVerb,
  addWriteOptions,
  integer,
  type JsonOption,
  type Verb,
  type WriteOptions,
} from '../../verb.js';

interface Options extends WriteOptions, JsonOption, SourceOptions {
  readonly vocabulary: number;
}

export const trainTokenizerVerb: Verb = (data, context) => {
  const command = addVerb(data, {
    name: 'train-tokenizer',
    summary: 'train a byte-level BPE tokenizer, saved as a Hugging Face tokenizer.json',
    examples: ['frugal data train-tokenizer data/split/train.jsonl --out tokenizer --vocabulary 8192'],
  }).argument(...FILES_ARGUMENT);
  addSourceOptions(command);
  addWriteOptions(command, 'the tokenizer')
    .option('--vocabulary <N>', 'tokens in all, at least 257', integer(257), 4096)
    .action(async (given: readonly string[], options: Options) => {
      const { out, vocabulary: vocabularySize, force, dryRun, json } = options;
      await refuseExisting(join(out, 'tokenizer.json'), force);
      const texts = await readTexts(await openSources(given, options, context));
      const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      if (dryRun) return printPlan();
      const start = performance.now();
      const progress = startProgress(context, 'Merging');
      const tokenizer = trainByteLevelBpe(texts, {
        vocabularySize,
        onProgress: (event) => event.phase === 'merge' && progress.update(event.done, event.total),
      });
      progress.stop();
      await saveTokenizer(tokenizer, out);
      const seconds = (performance.now() - start) / 1000;
      const result = {
        out,
        vocabularySize: tokenizer.vocabularySize,
        documents: texts.length,
        bytes,
        seconds,
      };
      if (json) return printJson(context, result);
      const speed = `${formatBytes(bytes)} in ${formatDuration(seconds)}`;
      const fewer =
        tokenizer.vocabularySize < vocabularySize ? ` (not ${vocabularySize}: no pair is left to merge)` : '';
      context.terminal.out(`${out}: ${tokenizer.vocabularySize} tokens${fewer} from ${speed}\n`);

      function printPlan(): void {
        if (json) printJson(context, { out, documents: texts.length, bytes });
        else
          context.terminal.out(
            `Would train ${vocabularySize} tokens on ${texts.length} documents, ${formatBytes(bytes)}.\n`,
          );
      }
    });
};

async function readTexts({ files, documents }: Sources): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of documents()) texts.push(text);
  requireDocuments('train-tokenizer', texts.length, files);
  return texts;
}
