export { cachedBatches } from './cached-batches.js';
export { type EndpointOptions, endpointTeacher } from './endpoint-teacher.js';
export { EndpointError, TeacherCacheError } from './errors.js';
export { type LocalTeacherOptions, localTeacher } from './local-teacher.js';
export {
  type CacheSettings,
  type Filled,
  type FillOptions,
  TeacherCache,
  type TeacherSource,
} from './teacher-cache.js';
