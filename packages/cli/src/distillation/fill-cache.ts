import { fingerprint, openCheckpoint } from '@frugal/checkpoint';
import { endpointTeacher, localTeacher, TeacherCache, type TeacherSource } from '@frugal/distill';
import type { BatchSource, CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Context } from '../context.js';
import { openModel } from '../model.js';
import { withProgress } from '../progress.js';
import { checkContext, stepsOf, type TrainingConfig } from '../training/config.js';

/** Likeliest tokens that a cache keeps unless the user says otherwise: 122 bytes a token before compression. */
export const CACHED_TOKENS = 24;

/** Where the teacher is. */
export type TeacherPlace =
  | { readonly path: string }
  | { readonly url: string; readonly model: string; readonly apiKey?: string | undefined };

export interface CacheRequest {
  readonly directory: string;
  readonly teacher: TeacherPlace;
  readonly tokenizer: Tokenizer;
  readonly topK: number;
  readonly temperature: number;
  readonly training: TrainingConfig;
  /** The batches of the training, from their beginning. */
  readonly batches: BatchSource;
}

/** Requests to an endpoint at a time, and sequences of each. */
const ENDPOINT = { concurrency: 8, sequencesPerBlock: 4 };

/** Opens the cache and asks the teacher for all that the training will read and is not there yet. */
export async function fillCache(request: CacheRequest, context: Context): Promise<TeacherCache> {
  const { directory, teacher, tokenizer, topK, temperature, training } = request;
  const cache = await TeacherCache.open(directory, {
    teacher: await identityOf(teacher),
    tokenizer: tokenizer.fingerprint,
    topK,
    temperature,
  });
  const sequences = await sequencesOf(request.batches, stepsOf(training) * training.accumulate);
  await withProgress(context, 'Teacher', async (update) => {
    const source =
      'url' in teacher ? ofEndpoint(teacher, request, context) : ofModel(teacher, request, context);
    try {
      await cache.fill(sequences, source.ask, {
        ...('url' in teacher && ENDPOINT),
        signal: context.signal,
        onProgress: ({ done, total }) => update(done, total),
      });
    } finally {
      await source.close();
    }
  });
  return cache;
}

async function identityOf(teacher: TeacherPlace): Promise<string> {
  if ('url' in teacher) return `${teacher.model} at ${teacher.url}`;
  const checkpoint = await openCheckpoint(teacher.path);
  try {
    return await fingerprint(checkpoint.tensors);
  } finally {
    await checkpoint.close();
  }
}

async function sequencesOf(batches: BatchSource, count: number): Promise<Int32Array[]> {
  const all: Int32Array[] = [];
  for (let i = 0; i < count; i++) all.push(...(await batches.next()).sequences);
  return all;
}

interface OpenTeacher {
  readonly ask: TeacherSource;
  close(): Promise<void>;
}

/** Loads the model at the first question: a full cache has none. */
function ofModel(
  { path }: { readonly path: string },
  { topK, temperature, tokenizer, training }: CacheRequest,
  context: Context,
): OpenTeacher {
  let opened: Promise<CausalLM> | undefined;
  return {
    async ask(sequences) {
      opened ??= openModel(path, context);
      const model = await opened;
      checkContext(model, training);
      return localTeacher(model, { topK, temperature, vocabulary: tokenizer.vocabularySize })(sequences);
    },
    close: async () => (await opened)?.dispose(),
  };
}

function ofEndpoint(
  { url, model, apiKey }: Exclude<TeacherPlace, { path: string }>,
  { topK, tokenizer }: CacheRequest,
  { signal }: Context,
): OpenTeacher {
  const key = apiKey === undefined ? {} : { apiKey };
  return {
    ask: endpointTeacher({ url, model, topK, tokenizer, signal, ...key }),
    close: async () => {},
  };
}
