import { cpuBackend } from '@frugal/backend-cpu';
import {
  prepare,
  RunDirectory,
  type Settings,
  settings,
} from '@frugal/example-pretrain-distill-deploy/steps';
import { setBackend } from '@frugal/tensor-core';
import { type Row, report } from '../shared/result.js';
import { type Arm, type Outcome, runArm, scoreFile, startModel } from './arms.js';

/**
 * What DiLoCo costs in quality and saves in traffic: a Llama of 0.2 M parameters, pretrained on 1 M tokens of real text, goes on for
 * 300 steps of 1,024 tokens by two ranks that exchange gradients in every step, and by two that exchange weights after 50 steps,
 * with the same tokens in the same order. Each arm takes the best of the same learning rates; that and the outer step are
 * chosen with a seed of their own; then three seeds. What the model scored before says how much there was to gain. Runs that are
 * done are kept in `.cache/diloco`. `npm run bench -- diloco`; `-- diloco -- --quick` checks that the program works.
 */
const SEEDS = [1, 2, 3];
const TUNING_SEED = 101;
/** What is asked for: a hundredth of the bytes, at most 2 % more loss. */
const MOST = { traffic: 0.01, loss: 1.02 };
/** Steps between two exchanges. */
const STEPS = 50;
const RATES = [0.00125, 0.0025, 0.005, 0.01];
/** The one that outer steps are compared at. */
const OUTER_RATE = 0.005;
/** Outer learning rate and momentum: the mean of the ranks, a little more than it, and that of the paper. */
const OUTER = [
  [1, 0],
  [0.8, 0.4],
  [0.7, 0.9],
];

const isQuick = process.argv.includes('--quick');
/** Of the model that all arms start from. */
const size: Settings = {
  ...settings.quick,
  batch: 16,
  precision: 'f32',
  student: { ...settings.quick.student, tokens: isQuick ? 60_000 : 1_024_000 },
};
const further = { batch: 8, student: { ...size.student, tokens: isQuick ? 55_000 : 307_200 } };

const run = await RunDirectory.open(size, '.cache/diloco');
const data = await prepare(size, run);
const laboratory = { settings: size, run, data, signal: new AbortController().signal };

async function outcomeOf(arm: Arm, seed: number): Promise<Outcome> {
  const outcome = await run.once(`${arm.name}, seed ${seed}.json`, async () => {
    const start = await startModel(laboratory);
    return runArm(start, { ...laboratory, settings: { ...size, ...further, seed } }, arm);
  });
  console.error(`${arm.name}, seed ${seed}: ${outcome.bitsPerByte.toFixed(4)} bits per byte`);
  return outcome;
}

interface Tried {
  readonly arm: Arm;
  readonly bitsPerByte: number;
}

/** All candidates, the best first. */
async function tryAll(candidates: readonly Arm[]): Promise<Tried[]> {
  const tried: Tried[] = [];
  for (const arm of candidates) {
    const { bitsPerByte } = await outcomeOf(arm, TUNING_SEED);
    tried.push({ arm, bitsPerByte });
  }
  return tried.sort((a, b) => a.bitsPerByte - b.bitsPerByte);
}

setBackend(cpuBackend());
const everyStep = await tryAll(
  RATES.map((learningRate) => ({ name: `every step, ${learningRate}`, learningRate })),
);
const localArm = (learningRate: number, [outer, momentum]: readonly number[]): Arm => ({
  name: `local, ${learningRate}, outer ${outer} and ${momentum}`,
  learningRate,
  local: { steps: STEPS, learningRate: outer, momentum },
});
const outer = await tryAll(OUTER.map((step) => localArm(OUTER_RATE, step)));
const { learningRate: rate = 1, momentum = 0 } = outer[0].arm.local ?? {};
const local = await tryAll(RATES.map((learningRate) => localArm(learningRate, [rate, momentum])));
const before = await scoreFile(await startModel(laboratory), laboratory);
const [ours, theirs]: [Outcome[], Outcome[]] = [[], []];
for (const seed of SEEDS) {
  ours.push(await outcomeOf(local[0].arm, seed));
  theirs.push(await outcomeOf(everyStep[0].arm, seed));
}
const rowOf = (name: string, unit: string, key: keyof Outcome): Row => ({
  name,
  peer: 'every step',
  unit,
  ours: ours.map((outcome) => outcome[key]),
  theirs: theirs.map((outcome) => outcome[key]),
});
const loss = rowOf('held out, exchange after 50 steps', 'bits per byte', 'bitsPerByte');
const traffic = rowOf('received by a rank per step', 'bytes', 'bytesPerStep');
const ratios = (row: Row) => row.ours.map((value, i) => value / row.theirs[i]);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const [lossRatio, trafficRatio] = [mean(ratios(loss)), mean(ratios(traffic))];
report([loss, traffic], {
  tokens: { start: size.student.tokens, further: further.student.tokens },
  tried: [...everyStep, ...outer, ...local].map(({ arm, bitsPerByte }) => ({ arm: arm.name, bitsPerByte })),
  before,
  chosen: [everyStep[0].arm.name, local[0].arm.name],
  lossRatio,
  trafficRatio,
});
console.log(`before: ${before.toFixed(4)} bits per byte`);
console.log(
  `loss × ${lossRatio.toFixed(4)} (at most ${MOST.loss}), traffic × ${trafficRatio.toFixed(5)} (at most ${MOST.traffic})`,
);
if (!isQuick && (lossRatio > MOST.loss || trafficRatio > MOST.traffic)) process.exitCode = 1;
