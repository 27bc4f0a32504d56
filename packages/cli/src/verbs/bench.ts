import { type DecodeProfile, measureSpeed, profileDecode, type Spread } from '@frugal/eval';
import { formatBytes, formatDuration, formatNumber, renderTable } from '@frugal/report';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { type Context, printJson } from '../context.js';
import { describeMachine, type Machine } from '../machine.js';
import { modelPath, openModel } from '../model.js';
import { type NamedPlace, PLACE_OPTION } from '../placement.js';
import { addVerb, integer, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';
import { version } from '../version.js';

export interface BenchOptions extends BackendOptions {
  readonly promptTokens?: number;
  readonly newTokens?: number;
  readonly repeats: number;
  readonly place?: readonly NamedPlace[];
  /** Also say in which kernels a new token spends its time. */
  readonly profile?: boolean;
}

/** Medians, with everything that they depend on. */
export interface Benchmark {
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  readonly loadSeconds: number;
  /** Memory of the process after the measurement. */
  readonly residentBytes: number;
  readonly threads: number;
  readonly backend: string;
  /** The fastest of the repeats. */
  readonly best: { readonly prefillTokensPerSecond: number; readonly decodeTokensPerSecond: number };
  readonly profile?: DecodeProfile | undefined;
  readonly spread: { readonly prefill: Spread; readonly decode: Spread };
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly repeats: number;
  readonly machine: Machine;
  readonly version: string;
}

export const benchVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'bench',
    summary: 'prefill and decode speed of one stream, loading time, memory',
    examples: ['frugal bench runs/student', 'frugal bench runs/student --threads 1 --json'],
  })
    .argument(...MODEL_ARGUMENT)
    .option('--prompt-tokens <N>', 'tokens of the prompt (default: 512, or half of the context)', integer(1))
    .option('--new-tokens <N>', 'tokens after it (default: 128, or what the context leaves)', integer(2))
    .option('--repeats <N>', 'measurements; the median counts', integer(1), 5)
    .option(...PLACE_OPTION)
    .option('--profile', 'also the kernels in which a new token spends its time');
  addBackendOptions(command).action(async (source: string, options: BenchOptions & JsonOption) => {
    const result = await benchModel(source, options, context);
    if (options.json) printJson(context, result);
    else printBenchmark(result, context);
  });
};

export async function benchModel(
  source: string,
  options: BenchOptions,
  context: Context,
): Promise<Benchmark> {
  const backend = useBackend(options, context);
  const path = await modelPath(source, context);
  const start = performance.now();
  const model = await openModel(path, context, { place: options.place, preferred: true });
  const loadSeconds = (performance.now() - start) / 1000;
  const { promptTokens, newTokens, repeats } = options;
  const speed = await measureSpeed(model, { promptTokens, newTokens, repeats, signal: context.signal });
  const residentBytes = process.memoryUsage.rss();
  const profile = options.profile
    ? await profileDecode(model, { promptTokens: speed.promptTokens })
    : undefined;
  return {
    prefillTokensPerSecond: speed.prefillTokensPerSecond.median,
    decodeTokensPerSecond: speed.decodeTokensPerSecond.median,
    loadSeconds,
    residentBytes,
    threads: threadsOf(backend),
    backend: backend.name,
    best: {
      prefillTokensPerSecond: speed.prefillTokensPerSecond.high,
      decodeTokensPerSecond: speed.decodeTokensPerSecond.high,
    },
    spread: { prefill: speed.prefillTokensPerSecond, decode: speed.decodeTokensPerSecond },
    promptTokens: speed.promptTokens,
    newTokens: speed.newTokens,
    repeats,
    profile,
    machine: describeMachine(),
    version,
  };
}

/** Backends with threads of their own say how many; all others compute in the thread of JavaScript. */
function threadsOf(backend: object): number {
  const { threads } = backend as { threads?: unknown };
  return typeof threads === 'number' ? threads : 1;
}

function printProfile(
  { kernels, outsideKernels, secondsPerToken, replayed }: DecodeProfile,
  { terminal }: Context,
): void {
  const columns = [{ title: 'kernel' }, { title: 'calls' }, { title: 'ms' }, { title: '%' }];
  const rows = kernels.map(({ op, calls, seconds }) => [
    op,
    calls,
    1000 * seconds,
    (100 * seconds) / secondsPerToken,
  ]);
  terminal.out(`\nOne new token (${replayed ? 'a replayed step' : 'op by op'}):\n`);
  terminal.out(`${renderTable(columns, rows)}\n`);
  terminal.out(`Outside kernels: ${(100 * outsideKernels).toFixed(1)} %.\n`);
}

function printBenchmark(result: Benchmark, context: Context): void {
  const { terminal } = context;
  const { spread, machine, promptTokens, newTokens, repeats } = result;
  const columns = [
    { title: 'one stream' },
    { title: 'tokens' },
    { title: 'tok/s' },
    { title: 'lowest' },
    { title: 'highest' },
  ];
  const row = (name: string, tokens: number, { median, low, high }: Spread) => [
    name,
    tokens,
    median,
    low,
    high,
  ];
  const rows = [row('prefill', promptTokens, spread.prefill), row('decode', newTokens, spread.decode)];
  terminal.out(`${renderTable(columns, rows)}\n\n`);
  terminal.out(
    `Loading ${formatDuration(result.loadSeconds)}, resident memory ${formatBytes(result.residentBytes)}.\n`,
  );
  const cores = `${machine.logicalCores} logical cores, ${formatBytes(machine.memoryBytes)}`;
  terminal.out(
    `Median of ${repeats}. frugal ${result.version}, backend ${result.backend} with ${formatNumber(result.threads)} threads.\n`,
  );
  terminal.out(`${machine.cpu}, ${cores}, ${machine.system}, Node ${machine.node}.\n`);
  if (result.profile) printProfile(result.profile, context);
}
