import { join } from 'node:path';
import type { TrainOptions } from '../src/index.js';

/**
 * Options of a run that saves every third step into `folder`, goes on from there, and kills itself in the middle of the save
 * after step `dieInSaveAt`, if there is one.
 */
export function dyingRun(folder: string, dieInSaveAt?: string) {
  let step = 0;
  return {
    afterStep: (done: number) => {
      step = done;
    },
    log: join(folder, 'log.jsonl'),
    checkpoint: {
      directory: join(folder, 'checkpoints'),
      every: 3,
      resume: true,
      extra: async (staging) => {
        if (step === Number(dieInSaveAt)) process.kill(process.pid, 'SIGKILL');
        await staging.writeFile('note.txt', `after step ${step}`);
      },
    },
  } satisfies Partial<TrainOptions<never>>;
}
