/** The part of `@frugal/checkpoint` that needs no file system. */
export { type ByteSource, blobSource, bytesSource } from './byte-source.js';
export * from './dtypes.js';
export {
  CheckpointChangedError,
  CheckpointError,
  type CheckpointErrorDetails,
  CheckpointExistsError,
  CheckpointFormatError,
  CheckpointNotFoundError,
  CheckpointWriteError,
  ConversionError,
} from './errors.js';
export { type GgufFields, layoutGguf } from './gguf/layout.js';
export { type GgufSource, readGguf } from './gguf/reader.js';
export { serializeGguf } from './gguf/serialize.js';
export type { GgufItemType, GgufValue, GgufValueType } from './gguf/types.js';
export { formatConfig } from './json/config-json.js';
export { formatJson, type JsonObject, type JsonValue, parseJson, parseJsonObject } from './json/json.js';
export { type DataLineage, MANIFEST_FILE, type Manifest, type SourceLineage } from './manifest.js';
export { readMindspore } from './mindspore/reader.js';
export * from './numeric/convert.js';
export { type PaddleOptions, readPaddle } from './paddle/reader.js';
export { openQuantized } from './quantized/open-quantized.js';
export type {
  FindQuantized,
  PackedMatrix,
  PackedShape,
  QuantizedMatrix,
} from './quantized/quantized-matrix.js';
export {
  layoutProblems,
  type QuantizedLayoutName,
  quantizedLayouts,
  type StoredQuantized,
  storeQuantized,
} from './quantized/store-quantized.js';
export { readTensors } from './read-tensors.js';
export { type PackRows, recodedInput } from './recode/recode.js';
export {
  packedRows,
  reorderedRows,
  type StoredRows,
  shiftedRows,
  slicedRows,
  stackedRows,
  storedRows,
} from './recode/stored-rows.js';
export { type Target, targetDType } from './recode/target-dtype.js';
export { layoutSafetensors } from './safetensors/layout.js';
export { readSafetensors } from './safetensors/reader.js';
export { serializeSafetensors } from './safetensors/serialize.js';
export { type PlannedShards, planShards } from './safetensors/shards.js';
export {
  inputsOf,
  type TensorBytes,
  type TensorInput,
  type TensorInputs,
  tensorInput,
} from './tensor-input.js';
export type { MetadataList, MetadataValue, TensorEntry, TensorSource } from './tensor-source.js';
