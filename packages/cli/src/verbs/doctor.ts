import {
  type CudaInstallation,
  describeInstallation,
  findInstallation,
  prepareTensorFlow,
} from '@frugal/backend-cuda';
import { examineModel, type Finding } from '@frugal/models';
import { formatNumber, renderTable } from '@frugal/report';
import type { Backend } from '@frugal/tensor-core';
import { candidates, rankBackends } from '../backend-candidates.js';
import { type Context, printJson } from '../context.js';
import { ReportedFailure } from '../errors.js';
import { describeMachine, type Machine } from '../machine.js';
import { type BackendSpeed, measureBackend } from '../measure-backend.js';
import { modelPath } from '../model.js';
import { withProgress } from '../progress.js';
import { addVerb, type JsonOption, Option, type Verb } from '../verb.js';

/** A backend, and either what it can do here or why it cannot run. */
type Examination =
  | ({ readonly name: string; readonly runs: true; readonly description: string } & BackendSpeed)
  | { readonly name: string; readonly runs: false; readonly why: string };

/** With how well it suits this machine; 0: not at all. */
export type BackendFacts = Examination & { readonly score: number };

export interface Diagnosis {
  readonly machine: Machine;
  /** The one that `--backend auto` takes first. */
  readonly backends: readonly BackendFacts[];
  /** GPU, driver, CUDA and TensorFlow. */
  readonly cuda: CudaInstallation;
  /** What was found in MODEL. */
  readonly model?: readonly Finding[];
}

export const doctorVerb: Verb = (program, context) => {
  addVerb(program, {
    name: 'doctor',
    summary: 'what can run here and how fast, why not, and what is wrong with a model',
    notes: 'Exit code 1 when the model has an error.',
    examples: ['frugal doctor', 'frugal doctor --fix cuda', 'frugal doctor runs/student --json'],
  })
    .argument('[MODEL]', 'a model to check: structure, every weight, tokenizer')
    .addOption(
      new Option('--fix <WHAT>', 'cuda: compile the binding to an installed TensorFlow').choices(['cuda']),
    )
    .action(async (source: string | undefined, { json, fix }: JsonOption & { fix?: 'cuda' }) => {
      if (fix) repairCuda(context, json === true);
      const diagnosis = await diagnose(source, context);
      if (json) printJson(context, diagnosis);
      else printDiagnosis(diagnosis, context);
      if (diagnosis.model?.some(({ level }) => level === 'error')) throw new ReportedFailure();
    });
};

export async function diagnose(source: string | undefined, context: Context): Promise<Diagnosis> {
  const backends = [];
  for (const { name, score } of rankBackends()) {
    const facts = await examine(name, () => candidates[name].open({}));
    backends.push({ score: facts.runs ? score : 0, ...facts });
  }
  const machine = describeMachine();
  const cuda = findInstallation();
  if (source === undefined) return { machine, backends, cuda };
  const path = await modelPath(source, context);
  const model = await withProgress(context, 'Checking', (update) =>
    examineModel(path, { onProgress: update }),
  );
  return { machine, backends, cuda, model };
}

/** Prepares TensorFlow. @throws CudaBackendUnavailableError with what is missing */
function repairCuda({ terminal }: Context, quiet: boolean): void {
  const { tensorflow, binding } = prepareTensorFlow();
  if (!quiet) terminal.out(`Compiled ${binding} against TensorFlow ${tensorflow}.\n\n`);
}

async function examine(name: string, open: () => Backend): Promise<Examination> {
  try {
    const backend = open();
    // Some of what is missing, such as kernels for a device, shows only when something is computed.
    return { name, runs: true, description: backend.description, ...(await measureBackend(backend)) };
  } catch (error) {
    return { name, runs: false, why: whyOf(error) };
  }
}

/** Each reason once, a line each: ops may fail for different ones. */
function whyOf(error: unknown): string {
  const errors: readonly Error[] = error instanceof AggregateError ? error.errors : [error as Error];
  return [...new Set(errors.map(({ message }) => message))].join('\n');
}

function printDiagnosis({ machine, backends, cuda, model }: Diagnosis, { terminal }: Context): void {
  terminal.out(
    `${machine.cpu}, ${machine.logicalCores} logical cores, ${machine.system}, Node ${machine.node}\n\n`,
  );
  const columns = [
    { title: 'backend' },
    { title: 'matmul', unit: 'FLOP/s' },
    { title: 'memory', unit: 'B/s' },
    { title: 'what it is' },
  ];
  const rows = backends.map((facts) =>
    facts.runs
      ? [facts.name, facts.matmulFlopsPerSecond, facts.bytesPerSecond, facts.description]
      : [facts.name, null, null, 'cannot run here'],
  );
  terminal.out(`${renderTable(columns, rows, { maxWidth: terminal.columns })}\n`);
  for (const facts of backends) if (!facts.runs) terminal.out(`\n${facts.name}: ${facts.why}\n`);
  if (cuda.gpus.length > 0 || cuda.binding)
    terminal.out(
      `\nCUDA\n${describeInstallation(cuda)
        .map((line) => `  ${line}\n`)
        .join('')}`,
    );
  if (!model) return;
  terminal.out(`\n${model.map(describeFinding).join('\n')}\n`);
  const problems = model.filter(({ level }) => level !== 'ok').length;
  if (problems > 0) terminal.out(`${formatNumber(problems)} thing${problems === 1 ? '' : 's'} to look at.\n`);
}

const marks = { ok: 'ok     ', warning: 'warning', error: 'error  ' };

/** What was found, and below it what was seen, what goes wrong, and what to do. */
function describeFinding({ level, what, evidence, consequence, fix }: Finding): string {
  const details = [evidence && `seen: ${evidence}`, consequence, fix && `fix: ${fix}`];
  return [`${marks[level]}  ${what}`, ...details.filter(Boolean).map((line) => `         ${line}`)].join(
    '\n',
  );
}
