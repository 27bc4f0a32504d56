import { cpuBackend } from '@frugal/backend-cpu';
import { examineModel, type Finding } from '@frugal/models';
import { formatNumber, renderTable } from '@frugal/report';
import { type Backend, referenceBackend } from '@frugal/tensor-core';
import { type Context, printJson } from '../context.js';
import { ReportedFailure } from '../errors.js';
import { describeMachine, type Machine } from '../machine.js';
import { type BackendSpeed, measureBackend } from '../measure-backend.js';
import { modelPath } from '../model.js';
import { withProgress } from '../progress.js';
import { addVerb, type JsonOption, type Verb } from '../verb.js';

/** A backend, and either what it can do here or why it cannot run. */
export type BackendFacts =
  | ({ readonly name: string; readonly runs: true; readonly description: string } & BackendSpeed)
  | { readonly name: string; readonly runs: false; readonly why: string };

export interface Diagnosis {
  readonly machine: Machine;
  readonly backends: readonly BackendFacts[];
  /** What was found in MODEL. */
  readonly model?: readonly Finding[];
}

export const doctorVerb: Verb = (program, context) => {
  addVerb(program, {
    name: 'doctor',
    summary: 'what can run here and how fast, why not, and what is wrong with a model',
    notes: 'Exit code 1 when the model has an error.',
    examples: ['frugal doctor', 'frugal doctor runs/student --json'],
  })
    .argument('[MODEL]', 'a model to check: structure, every weight, tokenizer')
    .action(async (source: string | undefined, { json }: JsonOption) => {
      const diagnosis = await diagnose(source, context);
      if (json) printJson(context, diagnosis);
      else printDiagnosis(diagnosis, context);
      if (diagnosis.model?.some(({ level }) => level === 'error')) throw new ReportedFailure();
    });
};

export async function diagnose(source: string | undefined, context: Context): Promise<Diagnosis> {
  const backends = [];
  for (const [name, open] of candidates) backends.push(await examine(name, open));
  const machine = describeMachine();
  if (source === undefined) return { machine, backends };
  const path = await modelPath(source, context);
  const model = await withProgress(context, 'Checking', (update) =>
    examineModel(path, { onProgress: update }),
  );
  return { machine, backends, model };
}

/** Fastest first. */
const candidates: readonly (readonly [name: string, open: () => Backend])[] = [
  ['cpu', () => cpuBackend()],
  ['reference', () => referenceBackend()],
];

async function examine(name: string, open: () => Backend): Promise<BackendFacts> {
  let backend: Backend;
  try {
    backend = open();
  } catch (error) {
    return { name, runs: false, why: (error as Error).message };
  }
  return { name, runs: true, description: backend.description, ...(await measureBackend(backend)) };
}

function printDiagnosis({ machine, backends, model }: Diagnosis, { terminal }: Context): void {
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
