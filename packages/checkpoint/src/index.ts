export * from './browser.js';
export { type Checkpoint, openCheckpoint } from './checkpoint.js';
export { openFileSource } from './file-source.js';
export { openGguf, saveGguf } from './gguf/files.js';
export { fingerprint, hashFile } from './hash.js';
export { openTensors } from './open-tensors.js';
export {
  openSafetensors,
  openShardedSafetensors,
  type SafetensorsOptions,
  saveSafetensors,
  writeSafetensorsFiles,
} from './safetensors/files.js';
export { type SaveOptions, type SaveStep, saveDirectory } from './save/directory.js';
export { writeAdvice } from './save/errors.js';
export { saveFile } from './save/file.js';
export { resolveDirectory } from './save/place.js';
export { type ResumableOptions, writeResumable } from './save/resumable.js';
export type { StagingDirectory } from './save/staging.js';
export {
  type CheckpointContents,
  OPTIMIZER_FILE,
  readCompanionFiles,
  TRAINER_STATE_FILE,
  type WriteCheckpointOptions,
  writeCheckpoint,
} from './write-checkpoint.js';
