import type { Command } from 'commander';
import type { Context, Terminal } from './context.js';
import { processTerminal } from './context.js';
import { reportError } from './errors.js';
import { Interrupts } from './interrupts.js';
import { Program } from './program.js';
import type { Verb } from './verb.js';
import { verbsFor } from './verbs/index.js';
import { version } from './version.js';

export interface RunOptions {
  readonly terminal?: Terminal;
  /** Ends the verb at hand. */
  readonly signal?: AbortSignal;
  /** Who gets Ctrl-C before that. */
  readonly interrupts?: Interrupts;
}

/** Runs a command line, without the program's name. Returns the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function run(args: readonly string[], options: RunOptions = {}): Promise<number> {
  const { terminal = processTerminal(), signal = new AbortController().signal } = options;
  const { interrupts = new Interrupts() } = options;
  try {
    const verbs = await verbsFor(args);
    const program = createProgram({ terminal, signal, interrupts }, verbs);
    await program.parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    return reportError(error, terminal);
  }
}

function createProgram(context: Context, verbs: readonly Verb[]): Command {
  const { terminal } = context;
  const program = new Program('frugal')
    .description('Train, compress and serve language models cheaply.')
    .version(version, '-V, --version')
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      getOutHelpWidth: () => terminal.columns ?? 100,
      getErrHelpWidth: () => terminal.columns ?? 100,
    })
    .showHelpAfterError('(--help shows what is possible)')
    .exitOverride()
    .enablePositionalOptions()
    .addHelpText(
      'after',
      '\nMODEL is a Hugging Face directory, a .gguf file, or hf:org/name[@revision][:file]. Every verb has --help with examples.',
    );
  for (const addTo of verbs) addTo(program, context);
  return program;
}
