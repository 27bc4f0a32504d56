import { noGrad, scope, withBackend } from '@frugal/tensor-core';
import { type CausalLM, type StoredDistributions, stepBatch } from '@frugal/tensor-core/nn';
import { type TopLogs, topLogs } from '../losses/index.js';
import type { TeacherSource } from './teacher-cache.js';

export interface LocalTeacherOptions {
  readonly topK: number;
  readonly temperature?: number;
  /** Tokens of the tokenizer, where the head is padded beyond them. */
  readonly vocabulary?: number | undefined;
}

/** Logits held at a time, in bytes of f32. */
const PIECE_BYTES = 16 * 2 ** 20;

/** A model in this process as the teacher that fills a cache. */
export function localTeacher(model: CausalLM, options: LocalTeacherOptions): TeacherSource {
  const { topK, temperature = 1, vocabulary = model.head.outFeatures } = options;
  const { vocabularySize, head } = model;
  const { backend } = model.parameters()[0].value;
  const onBackend = <T>(fn: () => T): T => withBackend(backend, () => noGrad(() => scope(fn)));
  const step = Math.max(1, Math.floor(PIECE_BYTES / (4 * head.outFeatures)));
  return async (sequences) => {
    const hidden = onBackend(() => model.forward(stepBatch(sequences, { vocabularySize })).hidden);
    const rows = hidden.shape[0];
    const all = { topK, indices: new Int32Array(rows * topK), logs: new Float32Array(rows * (topK + 1)) };
    try {
      for (let start = 0; start < rows; start += step) {
        const top = onBackend(() => {
          const logits = head.forward(hidden.slice(0, start, Math.min(rows, start + step)));
          const known = logits.slice(1, 0, vocabulary).cast('f32');
          return topLogs(known.mul(1 / temperature), topK);
        });
        await readInto(all, top, start);
      }
    } finally {
      hidden.dispose();
    }
    return splitRows(all, sequences);
  };
}

async function readInto(
  { topK, indices, logs }: StoredDistributions,
  top: TopLogs,
  row: number,
): Promise<void> {
  try {
    indices.set(await top.indices.toInt32(), row * topK);
    logs.set(await top.logs.toFloat32(), row * (topK + 1));
  } finally {
    top.indices.dispose();
    top.logs.dispose();
  }
}

function splitRows(
  { topK, indices, logs }: StoredDistributions,
  sequences: readonly Int32Array[],
): StoredDistributions[] {
  let row = 0;
  return sequences.map(({ length }) => {
    const [start, end] = [row, row + length];
    row = end;
    return {
      topK,
      indices: indices.subarray(start * topK, end * topK),
      logs: logs.subarray(start * (topK + 1), end * (topK + 1)),
    };
  });
}
