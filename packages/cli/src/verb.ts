import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Context } from './context.js';

/** Adds one verb to the command line. */
export type Verb = (program: Command, context: Context) => void;

export interface VerbText {
  readonly name: string;
  readonly summary: string;
  /** What a reader of `--help` may want to know beyond the options. */
  readonly notes?: string;
  readonly examples: readonly string[];
}

/** A command with `--json` and examples below its help. */
export function addVerb(program: Command, { name, summary, notes, examples }: VerbText): Command {
  const lines = ['Examples:', ...examples.map((example) => `  ${example}`)];
  return program
    .command(name)
    .description(summary)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', `\n${notes ? `${notes}\n\n` : ''}${lines.join('\n')}`);
}

export interface JsonOption {
  readonly json?: true;
}

/** The argument that most verbs take. */
export const MODEL_ARGUMENT = [
  '<MODEL>',
  'a Hugging Face directory, a .gguf file, or hf:org/name[@revision][:file]',
] as const;

/** A whole number from `least` to `most`, for `option()`. */
export function integer(least = 0, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    const range = value > most ? `at most ${most}` : `${least} or more`;
    throw new InvalidArgumentError(`Expected an integer, ${range}.`);
  };
}

/** A number from `low` to `high`. */
export function number(low: number, high = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= low && value <= high && Number.isFinite(value)) return value;
    const range = high === Number.POSITIVE_INFINITY ? `${low} or more` : `${low} to ${high}`;
    throw new InvalidArgumentError(`Expected a number, ${range}.`);
  };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
};

/** `60MB`, `1.5 GiB`, `60000000`: bytes. */
export function byteCount(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*(|k|m|g|ki|mi|gi)b?$/i.exec(text.trim()) ?? [];
  const value = Math.floor(Number(digits) * (UNITS[unit?.toLowerCase() ?? ''] ?? Number.NaN));
  if (value > 0) return value;
  throw new InvalidArgumentError('Expected a size such as 60MB, 1.5GB or 60MiB.');
}

/** `2%` or `0.02`: a share above zero. */
export function share(text: string): number {
  const [, digits, percent] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text.trim()) ?? [];
  const value = Number(digits) / (percent ? 100 : 1);
  if (value > 0) return value;
  throw new InvalidArgumentError('Expected a share such as 2% or 0.02.');
}

/** `8ms`, `0.02s`: seconds above zero. */
export function duration(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s)$/.exec(text.trim()) ?? [];
  const value = Number(digits) / (unit === 'ms' ? 1000 : 1);
  if (value > 0) return value;
  throw new InvalidArgumentError('Expected a time such as 8ms or 0.02s.');
}

/** `1,2,3`. */
export function integerList(text: string): number[] {
  return text.split(',').map((part) => integer()(part.trim()));
}

export interface WriteOptions {
  readonly out: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

/** `--out`, `--force` and `--dry-run` of a verb that writes. */
export function addWriteOptions(command: Command, what: string, kind: 'DIR' | 'FILE' = 'DIR'): Command {
  return command
    .requiredOption(`--out <${kind}>`, `where ${what} goes`)
    .option('--force', 'replace what is there')
    .option('--dry-run', 'check everything and say what would be done');
}

export { Option };
