import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  continueLineage,
  type FilterCounts,
  type FilterTargets,
  filterDocuments,
  type LineageStep,
  lineagePath,
  saveJsonLines,
  saveLineage,
  type WriteLine,
} from '@frugal/data';
import { formatBytes, renderTable } from '@frugal/report';
import type { Command } from 'commander';
import { type Context, printJson } from './context.js';
import { CommandError } from './errors.js';
import { refuseExisting } from './files.js';
import { withProgress } from './progress.js';
import {
  addSourceOptions,
  FILES_ARGUMENT,
  requireDocuments,
  type SourceOptions,
  type Sources,
} from './sources.js';
import { addVerb, addWriteOptions, type JsonOption, type VerbText, type WriteOptions } from './verb.js';

export interface FilterOptions extends WriteOptions, JsonOption, SourceOptions {
  /** Where the removed documents go, each with its `reason`. */
  readonly removed?: string;
}

/** A verb that reads documents and writes some of them: its arguments and the options that all of them take. */
export function addFilterVerb(data: Command, text: VerbText): Command {
  const command = addSourceOptions(addVerb(data, text).argument(...FILES_ARGUMENT));
  return addWriteOptions(command, 'the .jsonl file with what is kept', 'FILE').option(
    '--removed <FILE>',
    'also write what is removed, each with its reason',
  );
}

/** Bytes of text in files, for progress. */
export async function totalBytes(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map(async (file) =>
      stat(file).then(
        ({ size }) => size,
        () => 0, // reading it will tell
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Says how far a loop over documents is, now and then, and ends it on Ctrl-C. */
export function watch(context: Context, total: number, update: (done: number, total: number) => void) {
  let documents = 0;
  let bytes = 0;
  return (textLength: number): void => {
    bytes += textLength;
    if (documents++ % 256 !== 0) return;
    context.signal.throwIfAborted();
    update(Math.min(bytes, total), total);
  };
}

/** Refuses what is there already; to be called before long work. */
export async function checkTargets({ out, removed, force }: FilterOptions): Promise<void> {
  if (removed !== undefined && resolve(removed) === resolve(out)) {
    throw new CommandError({
      where: '--removed',
      what: 'the removed documents would replace those that stay',
      got: removed,
    });
  }
  for (const path of [out, lineagePath(out), ...(removed === undefined ? [] : [removed])]) {
    await refuseExisting(path, force);
  }
}

/**
 * Judges the documents of `sources`, writes those that stay with a lineage card beside them, and prints what each reason
 * removed. `--dry-run` does all but write.
 */
export async function runFilter(
  sources: Sources,
  options: FilterOptions,
  context: Context,
  { judge, ...step }: Pick<FilterTargets, 'judge'> & Omit<LineageStep, 'inputs' | 'counts'>,
): Promise<void> {
  const { out, removed, dryRun } = options;
  const { files } = sources;
  const total = await totalBytes(files);
  const saveCard = async (found: FilterCounts): Promise<void> => {
    const { removed: reasons, ...numbers } = found;
    const named = Object.entries(reasons).map(([reason, count]) => [`removed: ${reason}`, count]);
    const card = { ...step, counts: { ...numbers, ...Object.fromEntries(named) } };
    await saveLineage(out, await continueLineage(files, card));
  };
  const counts = await withProgress(context, step.step, async (update) => {
    const seen = watch(context, total, update);
    const run = async (targets: Pick<FilterTargets, 'onKept' | 'onRemoved'>) => {
      const found = await filterDocuments(sources.documents(), {
        judge: (document, position) => {
          seen(document.text.length);
          return judge(document, position);
        },
        ...targets,
      });
      requireDocuments(step.step, found.documents, files);
      return found;
    };
    if (dryRun) return run({});
    return saveBoth(out, removed, async (kept, gone) => {
      const found = await run({
        onKept: kept,
        ...(gone && { onRemoved: (document, reason) => gone({ ...document, reason }) }),
      });
      // Before the documents take their place: they never lie there without a card, and an input that they replace is
      // still what was read.
      await saveCard(found);
      return found;
    });
  });
  printCounts(counts, options, context);
}

async function saveBoth(
  out: string,
  removed: string | undefined,
  fill: (kept: WriteLine, gone?: WriteLine) => Promise<FilterCounts>,
): Promise<FilterCounts> {
  let counts: FilterCounts | undefined;
  await saveJsonLines(out, async (kept) => {
    if (removed === undefined) counts = await fill(kept);
    else {
      await saveJsonLines(removed, async (gone) => {
        counts = await fill(kept, gone);
      });
    }
  });
  return counts as FilterCounts;
}

function printCounts(counts: FilterCounts, { out, dryRun, json }: FilterOptions, context: Context): void {
  if (json) {
    printJson(context, { out, ...counts });
    return;
  }
  const { documents, kept, bytes, keptBytes, removed } = counts;
  const reasons = Object.entries(removed).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const rows = reasons.map(([reason, count]) => [
    reason,
    count,
    `${((100 * count) / documents).toFixed(1)} %`,
  ]);
  if (rows.length > 0) {
    const columns = [{ title: 'removed because' }, { title: 'documents' }, { title: 'share' }];
    context.terminal.out(`${renderTable(columns, rows)}\n`);
  }
  const sizes = `${formatBytes(keptBytes)} of ${formatBytes(bytes)}`;
  context.terminal.out(
    `${dryRun ? 'Would write ' : ''}${out}: ${kept} of ${documents} documents, ${sizes}\n`,
  );
}
