export { type Document, type Split, splitByHash, textFraction } from './documents.js';
export { DataError } from './errors.js';
export {
  type SampledBatch,
  type SamplerOptions,
  type SamplerState,
  SequenceSampler,
} from './sequence-sampler.js';
export {
  type DatasetIndex,
  encodeDocument,
  openDataset,
  type PackOptions,
  packDocuments,
  type TokenDataset,
} from './shards.js';
export { readDocuments } from './text-files.js';
