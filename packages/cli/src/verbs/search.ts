import type { QuantizedLayoutName } from '@frugal/checkpoint';
import type { SearchResult, SearchTarget } from '@frugal/compress';
import { renderTable } from '@frugal/report';
import type { Command } from 'commander';
import type { Context } from '../context.js';
import { UsageError } from '../errors.js';
import { type FoundRecipe, findRecipe, type SearchChoice, searchChoices } from '../search.js';
import { byteCount, duration, integer, Option, share } from '../verb.js';

/** Options of a verb that can search a recipe. */
export interface SearchFlags {
  readonly targetSize?: number;
  readonly maxLoss?: number;
  readonly maxLatency?: number;
  readonly choices?: readonly SearchChoice[];
  readonly validation?: readonly string[];
  readonly validationTokens: number;
}

interface SearchedOptions extends SearchFlags {
  readonly out: string;
  readonly recipe?: string;
  readonly calibration?: readonly string[];
  readonly calibrationTokens: number;
  readonly layout?: QuantizedLayoutName;
  readonly json?: true;
  readonly resume?: true;
  readonly dryRun?: boolean;
}

/** `--target-size`, `--max-loss` and `--max-latency`, instead of a recipe. */
export function addSearchOptions(command: Command): Command {
  return command
    .option(
      '--target-size <SIZE>',
      'search the best recipe whose weights file has this size: 60MB',
      byteCount,
    )
    .option(
      '--max-loss <SHARE>',
      'search the smallest recipe that raises perplexity by at most this: 2%',
      share,
    )
    .option(
      '--max-latency <TIME>',
      'search the best recipe whose new tokens take at most this on this machine: 8ms',
      duration,
    )
    .addOption(
      new Option(
        '--choices <KINDS...>',
        'what a search chooses beside the bits of each layer: zeros, narrower MLPs, fewer layers; each shape is measured by itself',
      ).choices(searchChoices),
    )
    .option('--validation <FILES...>', 'text for measuring perplexity (default: a part of --calibration)')
    .option('--validation-tokens <N>', 'how much of it is used', integer(2), 16_384);
}

/** What is searched; undefined when a recipe is named. @throws UsageError for none of them, or two */
export function searchTarget({
  recipe,
  targetSize,
  maxLoss,
  maxLatency,
  calibration,
  dryRun,
}: SearchedOptions): SearchTarget | undefined {
  const given = [recipe, targetSize, maxLoss, maxLatency].filter((each) => each !== undefined);
  const where = '--recipe, --target-size, --max-loss, --max-latency';
  if (given.length !== 1)
    throw new UsageError({ where, what: 'one of them is needed', got: String(given.length) });
  if (recipe !== undefined) return undefined;
  if (!calibration)
    throw new UsageError({ where: '--calibration', what: 'a search needs text to measure with' });
  if (dryRun)
    throw new UsageError({ where: '--dry-run', what: 'a search has to measure before it can say anything' });
  if (targetSize !== undefined) return { kind: 'size', bytes: targetSize };
  if (maxLatency !== undefined) return { kind: 'latency', seconds: maxLatency };
  return { kind: 'loss', share: maxLoss as number };
}

/** Searches, and prints what there was to choose from. */
export async function search(
  path: string,
  target: SearchTarget,
  options: SearchedOptions,
  context: Context,
): Promise<FoundRecipe> {
  // Mixtures need a layout that holds every format, and one whose sizes add up.
  const { layout = 'frugal', calibration = [], choices = [], json } = options;
  const found = await findRecipe(path, { ...options, target, layout, calibration, choices }, context);
  if (!json) {
    printStructures(found.result, context);
    printFront(found.result, context);
  }
  return found;
}

/** What came of each shape of the model. */
function printStructures({ structure, structures = [] }: SearchResult, { terminal }: Context): void {
  if (structures.length === 0) return;
  const columns = [
    { title: 'structure' },
    { title: 'divergence by itself (nats)', digits: 3 },
    { title: 'size', format: 'bytes' as const },
    { title: 'predicted divergence (nats)', digits: 3 },
  ];
  const rows = structures.map(({ name, divergence, found }) => [
    name === structure ? `${name} (chosen)` : name,
    divergence,
    found?.chosen.bytes ?? null,
    found?.chosen.predicted ?? null,
  ]);
  terminal.out(`${renderTable(columns, rows)}\n\n`);
}

/** The Pareto front: what the best mixtures and the same format everywhere cost. */
function printFront({ frontier, uniform, chosen }: SearchResult, { terminal }: Context): void {
  const columns = [
    { title: 'formats' },
    { title: 'size', format: 'bytes' as const },
    { title: 'predicted divergence (nats)', digits: 3 },
  ];
  const rows = [
    ...frontier.map(({ bytes, predicted }) => ['mixed', bytes, predicted] as const),
    ...uniform.map(({ option, bytes, predicted }) => [`all ${option}`, bytes, predicted] as const),
    ['chosen', chosen.bytes, chosen.predicted] as const,
  ].sort((a, b) => a[1] - b[1]);
  terminal.out(`${renderTable(columns, rows)}\n\n`);
}
