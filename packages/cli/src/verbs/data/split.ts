import { saveDirectory } from '@frugal/checkpoint';
import { continueLineage, type Document, type LineageCard, textFraction } from '@frugal/data';
import { renderTable } from '@frugal/report';
import { printJson } from '../../context.js';
import { refuseExisting } from '../../files.js';
import {
  addSourceOptions,
  FILES_ARGUMENT,
  openSources,
  requireDocuments,
  type SourceOptions,
} from '../../sources.js';
import {
  addVerb,
  addWriteOptions,
  type JsonOption,
  number,
  type Verb,
  type WriteOptions,
} from '../../verb.js';

interface Options extends WriteOptions, JsonOption, SourceOptions {
  readonly heldOut: number;
}

interface Side {
  documents: number;
  bytes: number;
  readonly lines: string[];
}

export const splitVerb: Verb = (data, context) => {
  const command = addVerb(data, {
    name: 'split',
    summary: 'hold documents out, to be scored and never trained on',
    notes:
      'Writes train.jsonl and held-out.jsonl. The hash of its text decides where a document goes: adding documents\n' +
      'later moves none, and copies of one text land on the same side.',
    examples: [
      'frugal data split books/*.txt --out data/split',
      'frugal data split pages.jsonl --out data/split --held-out 0.05',
    ],
  }).argument(...FILES_ARGUMENT);
  addSourceOptions(command);
  addWriteOptions(command, 'the result')
    .option('--held-out <SHARE>', 'share of the documents', number(0, 1), 0.08)
    .action(async (given: readonly string[], options: Options) => {
      await refuseExisting(options.out, options.force);
      const sources = await openSources(given, options, context);
      const sides = { train: newSide(), heldOut: newSide() };
      for await (const document of sources.documents()) {
        addTo(sides[textFraction(document.text) < options.heldOut ? 'heldOut' : 'train'], document);
      }
      const [train, heldOut] = [sides.train, sides.heldOut].map(({ documents, bytes }) => ({
        documents,
        bytes,
      }));
      requireDocuments('split', train.documents + heldOut.documents, sources.files);
      if (!options.dryRun) {
        const card = await continueLineage(sources.files, {
          step: 'split',
          parameters: { heldOut: options.heldOut },
          counts: { train: train.documents, heldOut: heldOut.documents },
        });
        await writeSides(options, sides, card);
      }
      if (options.json) return printJson(context, { out: options.out, train, heldOut });
      const columns = [
        { title: 'file' },
        { title: 'documents' },
        { title: 'size', format: 'bytes' as const },
      ];
      const rows = [
        ['train.jsonl', train.documents, train.bytes],
        ['held-out.jsonl', heldOut.documents, heldOut.bytes],
      ];
      context.terminal.out(`${renderTable(columns, rows)}\n`);
    });
};

function newSide(): Side {
  return { documents: 0, bytes: 0, lines: [] };
}

function addTo(side: Side, document: Document): void {
  side.documents++;
  side.bytes += Buffer.byteLength(document.text);
  side.lines.push(`${JSON.stringify(document)}\n`);
}

async function writeSides(
  { out, force = false }: Options,
  { train, heldOut }: Record<'train' | 'heldOut', Side>,
  card: LineageCard,
): Promise<void> {
  await saveDirectory(
    out,
    async (staging) => {
      await staging.writeFile('train.jsonl', encodeLines(train.lines));
      await staging.writeFile('held-out.jsonl', encodeLines(heldOut.lines));
      await staging.writeJson('lineage.json', card);
    },
    { replace: force, replaceable: ['train.jsonl'] },
  );
}

async function* encodeLines(lines: readonly string[]): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const line of lines) yield encoder.encode(line);
}
