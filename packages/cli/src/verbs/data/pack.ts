import { continueLineage, encodeDocument, packDocuments } from '@frugal/data';
import { formatBytes, formatNumber } from '@frugal/report';
import type { Tokenizer } from '@frugal/tokenizers';
import { type Context, printJson } from '../../context.js';
import { refuseExisting } from '../../files.js';
import { modelPath, openTokenizer } from '../../model.js';
import {
  addSourceOptions,
  FILES_ARGUMENT,
  openSources,
  requireDocuments,
  type SourceOptions,
  type Sources,
} from '../../sources.js';
import { separatorOf } from '../../training/training-data.js';
import { addVerb, addWriteOptions, type JsonOption, type Verb, type WriteOptions } from '../../verb.js';

interface Options extends WriteOptions, JsonOption, SourceOptions {
  readonly tokenizer: string;
}

interface Packed {
  readonly documents: number;
  readonly tokens: number;
  readonly bytes: number;
}

export const packVerb: Verb = (data, context) => {
  const command = addVerb(data, {
    name: 'pack',
    summary: 'tokenize text into shards for training',
    notes:
      'Each document starts with the end-of-text token. The shards name their tokenizer: training refuses another one.',
    examples: [
      'frugal data pack data/split/train.jsonl --tokenizer tokenizer --out data/packed',
      'frugal data pack books/*.txt --tokenizer runs/teacher --out data/packed --dry-run',
    ],
  })
    .argument(...FILES_ARGUMENT)
    .requiredOption('--tokenizer <DIR>', 'a folder with tokenizer.json: of a tokenizer or a model');
  addSourceOptions(command);
  addWriteOptions(command, 'the data set').action(async (files: readonly string[], options: Options) => {
    const { out, dryRun, json } = options;
    const packed = await pack(files, options, context);
    if (json) return printJson(context, { out, ...packed });
    const facts = `${formatNumber(packed.tokens)} tokens of ${packed.documents} documents (${formatBytes(packed.bytes)})`;
    const density = `${(packed.bytes / packed.tokens).toFixed(2)} bytes per token`;
    context.terminal.out(`${dryRun ? 'Would write ' : ''}${out}: ${facts}, ${density}\n`);
  });
};

async function pack(given: readonly string[], options: Options, context: Context): Promise<Packed> {
  const { out, tokenizer: source, force, dryRun } = options;
  await refuseExisting(out, force);
  const tokenizer = await openTokenizer(await modelPath(source, context));
  const separatorId = separatorOf(tokenizer, source);
  const sources = await openSources(given, options, context);
  if (dryRun) {
    const counted = await countTokens(sources, tokenizer);
    requireDocuments('pack', counted.documents, sources.files);
    return counted;
  }
  const { documents, tokens, bytes } = await packDocuments(sources.documents(), tokenizer, out, {
    separatorId,
    lineage: ({ documents, tokens, bytes }) => {
      requireDocuments('pack', documents, sources.files); // before the data set takes its place
      return continueLineage(sources.files, {
        step: 'pack',
        parameters: { tokenizer: tokenizer.fingerprint },
        counts: { documents, tokens, bytes },
      });
    },
    force: force ?? false,
    onProgress: () => context.signal.throwIfAborted(),
  });
  return { documents, tokens, bytes };
}

/** What packing would give. */
async function countTokens(sources: Sources, tokenizer: Tokenizer): Promise<Packed> {
  const counted = { documents: 0, tokens: 0, bytes: 0 };
  for await (const { text } of sources.documents()) {
    counted.documents++;
    counted.tokens += encodeDocument(tokenizer, text).length + 1;
    counted.bytes += Buffer.byteLength(text);
  }
  return counted;
}
