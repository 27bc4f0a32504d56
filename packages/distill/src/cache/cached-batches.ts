import type { BatchSource } from '@frugal/tensor-core/nn';
import type { TeacherCache } from './teacher-cache.js';

/** The same batches, each with what the teacher said of its tokens. */
export function cachedBatches(source: BatchSource, cache: TeacherCache): BatchSource {
  return {
    async next() {
      const batch = await source.next();
      return { ...batch, distributions: await cache.read(batch.teacher ?? batch.sequences) };
    },
    state: () => source.state(),
    restore: (state) => source.restore(state),
  };
}
