import { compress, parseRecipe } from '@frugal/compress';
import { logitDistillation } from '@frugal/distill';
import type { CausalLM } from '@frugal/tensor-core/nn';
import {
  batchesOf,
  finishOnce,
  type Laboratory,
  newModel,
  runTraining,
  type Trained,
  type TrainingRecord,
} from './pretrain.js';

/** Forward KL on the full distribution, temperature 1: the best of what was tried at this size. */
const recipe = (seed: number) =>
  parseRecipe({
    version: 1,
    seed,
    stages: [
      {
        name: 'distill',
        modifiers: [{ type: 'distill.logits', targets: { include: ['blocks.*'] }, temperature: 1 }],
      },
    ],
  });

/** The student from the same weights, on the same tokens in the same order as the control, taught by the teacher. */
export function distill(laboratory: Laboratory, name: string, teacher: CausalLM): Promise<Trained> {
  const { seed, student } = laboratory.settings;
  return finishOnce(laboratory, name, async () => {
    const model = newModel(laboratory, student, seed);
    const batches = batchesOf(laboratory, seed);
    const { report, manifest } = await compress(model, recipe(seed), {
      methods: [logitDistillation],
      teacher,
      data: batches,
      train: async (job) => ({ ...(await runTraining(laboratory, name, student, { ...job, batches })) }),
    });
    return { model, manifest, record: report.stages[0].training as unknown as TrainingRecord };
  });
}
