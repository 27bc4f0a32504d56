import { join } from 'node:path';
import {
  distill,
  type Laboratory,
  prepare,
  pretrain,
  quantize,
  RunDirectory,
  settings,
} from '@frugal/example-pretrain-distill-deploy/steps';
import type { Setting } from './part.js';

/** Where {@link mainJob} keeps its models. */
export const mainJobFolder = ({ root }: Pick<Setting, 'root'>): string =>
  join(root, '.cache/claims/main-job');

/** Corpus, tokenizer and settings of the main job. */
export async function mainData({ root, quick }: Setting): Promise<Laboratory> {
  process.env.FRUGAL_RUN_DIR = mainJobFolder({ root });
  const size = { ...settings[quick ? 'quick' : 'full'], seed: 1 };
  const run = await RunDirectory.open(size);
  return { settings: size, run, data: await prepare(size, run), signal: new AbortController().signal };
}

/** Teacher, student and int8 student of the main job: trained once, minutes, then read. */
export async function mainJob(setting: Setting) {
  const laboratory = await mainData(setting);
  const teacher = await pretrain(laboratory, 'teacher', laboratory.settings.teacher);
  const distilled = await distill(laboratory, 'distilled', teacher.model);
  const int8 = await quantize(laboratory, 'student-int8', { name: 'distilled', ...distilled });
  return { laboratory, teacher, distilled, int8, folder: (kept: string) => laboratory.run.file(kept) };
}
