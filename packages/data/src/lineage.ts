import { access, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { hashFile, saveFile } from '@frugal/checkpoint';
import { z } from 'zod';
import { DataError } from './errors.js';

const stepSchema = z.object({
  /** What was done, e.g. `dedup`. */
  step: z.string(),
  inputs: z.array(z.object({ file: z.string(), bytes: z.number(), sha256: z.string() })),
  parameters: z.record(z.string(), z.unknown()),
  counts: z.record(z.string(), z.number()),
});

const cardSchema = z.object({ version: z.literal(1), steps: z.array(stepSchema) });

/** One step on the way of a data set, with all that it takes to do it again. */
export type LineageStep = z.infer<typeof stepSchema>;
/** All steps behind a data set, oldest first, those of all its inputs among them. */
export type LineageCard = z.infer<typeof cardSchema>;

/** Where the card of a data set lies: `pages.jsonl` has `pages.lineage.json`, a folder `lineage.json` in it. */
export function lineagePath(file: string, kind: 'file' | 'folder' = 'file'): string {
  if (kind === 'folder') return join(file, 'lineage.json');
  return `${file.slice(0, file.length - extname(file).length)}.lineage.json`;
}

/**
 * The card of what a step makes of `inputs`: their cards' steps, each once, and this one.
 * @throws DataError when a card is there that cannot be read
 */
export async function continueLineage(
  inputs: readonly string[],
  step: Omit<LineageStep, 'inputs'>,
): Promise<LineageCard> {
  const steps = new Map<string, LineageStep>();
  for (const file of inputs) {
    for (const earlier of (await readLineage(file))?.steps ?? []) steps.set(JSON.stringify(earlier), earlier);
  }
  const described = await Promise.all(
    inputs.map(async (file) => ({ file, bytes: (await stat(file)).size, sha256: await hashFile(file) })),
  );
  return { version: 1, steps: [...steps.values(), { inputs: described, ...step }] };
}

/** Writes a card beside the file it tells of. */
export async function saveLineage(file: string, card: LineageCard): Promise<void> {
  await saveFile(lineagePath(file), `${JSON.stringify(card, null, 2)}\n`);
}

/**
 * The card of a file: beside it, or the one of its folder; undefined when there is none.
 * @throws DataError when it cannot be read
 */
export async function readLineage(file: string): Promise<LineageCard | undefined> {
  for (const path of [lineagePath(file), lineagePath(join(file, '..'), 'folder')]) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return parseCard(path, await readFile(path, 'utf8'));
  }
  return undefined;
}

function parseCard(path: string, text: string): LineageCard {
  try {
    return cardSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new DataError({
      file: path,
      what: 'this is no lineage card',
      got: cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message,
      hint: 'Move it away to start a new one.',
      cause,
    });
  }
}
