import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { compress, openRunStore, presetRecipe } from '@frugal/compress';
import { loadModel, savedBytes, saveModel } from '@frugal/models';
import { quantMethods } from '@frugal/quant';
import type { ResultStore } from './result-store.js';
import type { Subject } from './subject.js';

/** What int4 by GPTQ costs, from opening the model to the files of the result. */
export interface GptqCost {
  readonly calibrationTokens: number;
  readonly seconds: number;
  /** Of all threads. */
  readonly processorSeconds: number;
  /** Largest resident memory of the process. */
  readonly peakBytes: number;
  /** Of the model's weights in f32. */
  readonly denseBytes: number;
}

/** Sequences of calibration, of 512 tokens. */
const SEQUENCES = 64;

/**
 * Runs the preset `int4-gptq` as `frugal quantize` does: weights stay in the file of the dense model until their block's turn, and
 * what is finished lies in the file of the run. The memory is that of the whole process: to be the only thing that it does.
 */
export async function measureGptq(subject: Subject, store: ResultStore): Promise<GptqCost> {
  const [dense, out] = [store.model('dense'), store.model('preset-int4-gptq')];
  if (!existsSync(dense)) throw new Error(`there is no ${dense}: --part quality --only '^dense$' makes it`);
  const calibration = subject.calibrationOf(SEQUENCES);
  const [start, used] = [performance.now(), process.cpuUsage()];
  const model = await loadModel(dense, { dtype: 'stored' });
  const denseBytes = savedBytes(model);
  const run = await openRunStore(`${out}.unfinished`, 'gptq', { resume: false });
  const recipe = presetRecipe('int4-gptq', model);
  await compress(model, recipe, { methods: quantMethods, calibration, store: run });
  await saveModel(model, out, { force: true });
  const { user, system } = process.cpuUsage(used);
  await rm(`${out}.unfinished`, { recursive: true });
  return {
    calibrationTokens: calibration.reduce((sum, { length }) => sum + length, 0),
    seconds: (performance.now() - start) / 1000,
    processorSeconds: (user + system) / 1e6,
    peakBytes: 1024 * process.resourceUsage().maxRSS,
    denseBytes,
  };
}
