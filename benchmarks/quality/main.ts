import { cpuBackend } from '@frugal/backend-cpu';
import {
  distill,
  type Laboratory,
  measure,
  prepare,
  pretrain,
  RunDirectory,
  type Settings,
  settings,
  type Trained,
} from '@frugal/example-pretrain-distill-deploy/steps';
import { setBackend } from '@frugal/tensor-core';
import { type Row, report } from '../shared/result.js';
import { meanInterval } from '../shared/statistics.js';

/**
 * Does distillation help? The student of the main job, taught by the teacher and trained alone on the same tokens in the
 * same order, with three seeds: held-out bits per byte. Both arms get the same effort of tuning: each takes the best of
 * the same learning rates, chosen with a seed of its own. Runs continue where they stopped. About 20 minutes:
 * `npm run bench -- quality`; `-- quality -- --quick` checks that the program works.
 */
const SEEDS = [1, 2, 3];
const TUNING_SEED = 101;
const LEARNING_RATES = [1e-2, 2e-2, 4e-2];

type Arm = 'alone' | 'distilled';

const size: Settings = process.argv.includes('--quick') ? settings.quick : settings.full;

async function laboratoryOf(seed: number, learningRate: number): Promise<Laboratory> {
  const student = { ...size.student, learningRate, embeddingLearningRate: learningRate };
  const chosen = { ...size, seed, student };
  const run = await RunDirectory.open(chosen);
  return { settings: chosen, run, data: await prepare(chosen, run), signal: new AbortController().signal };
}

/** Held-out bits per byte over all languages, weighted alike. */
async function score(laboratory: Laboratory, trained: Trained): Promise<number> {
  const { bitsPerByte } = await measure(laboratory, trained);
  trained.model.dispose();
  const values = Object.values(bitsPerByte);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function runArm(arm: Arm, seed: number, learningRate: number, teacher: Trained): Promise<number> {
  const laboratory = await laboratoryOf(seed, learningRate);
  const trained =
    arm === 'alone'
      ? await pretrain(laboratory, 'alone', laboratory.settings.student)
      : await distill(laboratory, 'distilled', teacher.model);
  const result = await score(laboratory, trained);
  console.error(`${arm}, seed ${seed}, learning rate ${learningRate}: ${result.toFixed(4)} bits per byte`);
  return result;
}

async function bestRate(arm: Arm, teacher: Trained): Promise<number> {
  const results: { rate: number; bits: number }[] = [];
  for (const rate of LEARNING_RATES)
    results.push({ rate, bits: await runArm(arm, TUNING_SEED, rate, teacher) });
  return results.sort((a, b) => a.bits - b.bits)[0].rate;
}

setBackend(cpuBackend());
const home = await laboratoryOf(1, size.student.learningRate);
const teacher = await pretrain(home, 'teacher', home.settings.teacher);
const rates = { alone: await bestRate('alone', teacher), distilled: await bestRate('distilled', teacher) };
const row = {
  name: 'bits per byte, distilled and alone',
  peer: 'alone',
  unit: 'bits per byte',
  ours: [] as number[],
  theirs: [] as number[],
};
for (const seed of SEEDS) {
  row.ours.push(await runArm('distilled', seed, rates.distilled, teacher));
  row.theirs.push(await runArm('alone', seed, rates.alone, teacher));
}
const gains = row.ours.map((ours, i) => row.theirs[i] - ours);
const gain = meanInterval(gains);
const rows: Row[] = [row];
report(rows, { rates, gain, studentTokens: size.student.tokens, teacherTokens: size.teacher.tokens });
console.log(
  `gain of distillation: ${gain.mean.toFixed(4)} bits per byte, 95 % interval ${gain.low.toFixed(4)} to ${gain.high.toFixed(4)}`,
);
console.log(
  `learning rates: alone ${rates.alone}, distilled ${rates.distilled}. The teacher cost ${teacher.record.seconds.toFixed(0)} s more.`,
);
if (gain.low <= 0) process.exitCode = 1;
