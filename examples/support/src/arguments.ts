import { type ParseArgsConfig, parseArgs } from 'node:util';

/** What every example understands, so that CI can start all of them alike. */
export interface Arguments {
  /** Everything in under a minute. */
  readonly quick: boolean;
  readonly seed: number;
  /** Whether to go on serving once the work is done; examples that serve nothing ignore it. */
  readonly serve: boolean;
  readonly port: number;
  /** Options of the example itself. */
  readonly others: Readonly<Record<string, string | boolean | undefined>>;
}

const common = {
  quick: { type: 'boolean', default: false },
  seed: { type: 'string', default: '1' },
  'no-serve': { type: 'boolean', default: false },
  port: { type: 'string', default: '8080' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Reads the command line. Prints the usage and ends the process, with 2, when it is wrong, and with 0 for `--help`. */
export function parseArguments(
  usage: string,
  options: NonNullable<ParseArgsConfig['options']> = {},
  args: readonly string[] = process.argv.slice(2),
): Arguments {
  try {
    const { values } = parseArgs({ args: [...args], options: { ...options, ...common } });
    const { quick, seed, port, help, 'no-serve': silent, ...others } = values;
    if (help === true) {
      console.log(usage);
      process.exit(0);
    }
    return {
      quick: quick === true,
      seed: wholeNumber('--seed', seed as string),
      serve: silent !== true,
      port: wholeNumber('--port', port as string),
      others: others as Arguments['others'],
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${usage}`);
    return process.exit(2);
  }
}

function wholeNumber(option: string, text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new TypeError(`${option} takes a whole number: got ${text}.`);
}
