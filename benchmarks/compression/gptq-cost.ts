import { compress, presetRecipe } from '@frugal/compress';
import { savedBytes, saveModel } from '@frugal/models';
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

/** Runs the preset `int4-gptq`. The memory is that of the whole process: to be the only thing that it does. */
export async function measureGptq(subject: Subject, store: ResultStore): Promise<GptqCost> {
  const calibration = subject.calibrationOf(SEQUENCES);
  const [start, used] = [performance.now(), process.cpuUsage()];
  const model = await subject.open();
  const denseBytes = savedBytes(model);
  await compress(model, presetRecipe('int4-gptq', model), { methods: quantMethods, calibration });
  await saveModel(model, store.model('preset-int4-gptq'), { force: true });
  const { user, system } = process.cpuUsage(used);
  return {
    calibrationTokens: calibration.reduce((sum, { length }) => sum + length, 0),
    seconds: (performance.now() - start) / 1000,
    processorSeconds: (user + system) / 1e6,
    peakBytes: 1024 * process.resourceUsage().maxRSS,
    denseBytes,
  };
}
