import { writeFile } from 'node:fs/promises';
import { prepare, RunDirectory } from '@frugal/example-pretrain-distill-deploy/steps';
import { fetchFiles, parseArguments, runExample } from '@frugal/example-support';
import { printFindings, printRuns } from './results.js';
import { type Outcome, Runs } from './runs.js';
import { type Settings, settings } from './settings.js';

const usage = `Trains one model by two processes, of which one is half as fast, and compares with one process.

  --quick      a small model, everything in under a minute
  --seed N     another run (default 1)
  --no-mpi     as if there were no Open MPI: exchange files in a folder
`;

const {
  quick,
  seed,
  others: { 'no-mpi': withoutMpi },
} = parseArguments(usage, { 'no-mpi': { type: 'boolean', default: false } });

function findMpirun(): string | null {
  const tell = (reason: string) =>
    console.log(`${reason}\nWithout MPI the ranks exchange files in a folder, with local updates alone.`);
  if (!withoutMpi) return fetchFiles('fetch-openmpi.mjs', tell)?.[0] ?? null;
  tell('Open MPI is not used.');
  return null;
}

/** The runs by the name that the table gives them. */
async function runAll(runs: Runs, { localSteps }: Settings): Promise<Map<string, Outcome>> {
  const mpirun = findMpirun();
  const all = new Map([['one process', await runs.alone('alone')]]);
  // Local updates depend on the shares: with given speeds a run can be repeated.
  const local = { localSteps, rounds: 'even', bits: 8, speeds: [2, 1] } as const;
  if (!mpirun) return all.set(`local updates, ${localSteps} steps`, await runs.byFolder('local', local));
  all.set('two, equal shares', await runs.byMpi('equal', mpirun, { speeds: [1, 1] }));
  all.set('two, shares by speed', await runs.byMpi('measured', mpirun, {}));
  return all.set(`two, every ${localSteps} steps`, await runs.byMpi('local', mpirun, local));
}

runExample(async ({ name }) => {
  const chosen = { ...settings[name === 'reference' ? 'nano' : quick ? 'quick' : 'full'], seed };
  const run = await RunDirectory.open(chosen, process.env.FRUGAL_RUN_DIR ?? 'runs/cluster');
  const { heldOut } = await prepare(chosen, run);
  const lines = [...heldOut.values()].flat().map((text) => `${JSON.stringify({ text })}\n`);
  await writeFile(run.file('held-out.jsonl'), lines.join(''));
  const all = await runAll(new Runs(run, chosen), chosen);
  printRuns(all);
  const [alone, ...others] = all.values();
  const local = others.at(-1) as Outcome;
  const [equal, measured] = others;
  printFindings(alone, local, others.length === 3 ? { equal, measured } : undefined);
});
