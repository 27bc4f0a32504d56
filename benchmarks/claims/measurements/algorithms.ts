import { cpuBackend } from '@frugal/backend-cpu';
import { countParameters, measureSpeed, type PairedDifference, pairedBootstrap } from '@frugal/eval';
import type { Laboratory, Trained } from '@frugal/example-pretrain-distill-deploy/steps';
import { loadModel } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import { operationsPerToken } from '../../shared/operations.js';
import { bitsPerByte, type DocumentScore, paired, scoreDocuments } from '../corpus.js';
import { mainJob } from '../main-job.js';
import type { Setting } from '../part.js';

interface Stage {
  readonly parameters: number;
  readonly operations: number;
  readonly bitsPerByte: number;
  /** Processor time of a million prompt tokens with one thread: lowest of the repeats. */
  readonly processorSecondsPerMillion: number;
}

export interface Algorithms {
  readonly teacher: Stage;
  readonly distilled: Stage;
  readonly int8: Stage;
  /** Bits per byte of the int8 student above those of the teacher. */
  readonly loss: PairedDifference;
  /** Operations: three passes per token, and one of the teacher for each token that the student sees. */
  readonly training: { readonly teacher: number; readonly student: number };
}

const REPEATS = 7;

/** Teacher, distilled student and int8 student of the main job. */
export async function measureAlgorithms(setting: Setting): Promise<Algorithms> {
  const job = await mainJob(setting);
  const scores: Record<string, DocumentScore[]> = {};
  const stage = async (kept: string, { model }: Trained): Promise<Stage> => {
    scores[kept] = await scoreAll(job.laboratory, model);
    return {
      parameters: countParameters(model),
      operations: operationsPerToken(model),
      bitsPerByte: bitsPerByte(scores[kept]),
      processorSecondsPerMillion: await processorSeconds(job.folder(kept)),
    };
  };
  const teacher = await stage('teacher', job.teacher);
  const distilled = await stage('distilled', job.distilled);
  const int8 = await stage('student-int8', job.int8);
  const { teacher: large, student } = job.laboratory.settings;
  return {
    ...{ teacher, distilled, int8 },
    loss: pairedBootstrap(paired(scores['student-int8'], scores.teacher)),
    training: {
      teacher: 3 * teacher.operations * large.tokens,
      student: (3 * distilled.operations + teacher.operations) * student.tokens,
    },
  };
}

async function scoreAll({ settings: { sequence }, data }: Laboratory, model: Trained['model']) {
  const all: DocumentScore[] = [];
  for (const [, texts] of data.heldOut)
    all.push(...(await scoreDocuments(model, data.tokenizer, texts, sequence)));
  return all;
}

/** With one thread, so that waiting for another one does not count. */
async function processorSeconds(path: string): Promise<number> {
  setBackend(cpuBackend({ threads: 1 }));
  const model = await loadModel(path, { dtype: 'bf16' });
  const promptTokens = Math.min(256, model.contextLength - 2);
  const times: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    const start = process.cpuUsage();
    await measureSpeed(model, { promptTokens, newTokens: 2, repeats: 8 });
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / (8 * promptTokens)); // microseconds per token are seconds per million
  }
  model.dispose();
  setBackend(cpuBackend());
  return Math.min(...times);
}
