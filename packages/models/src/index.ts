export { ConfigReader, ModelConfigError } from './config-reader.js';
export {
  type Conversion,
  type ConvertedTensor,
  type ConvertOptions,
  convertModel,
  planConversion,
} from './convert/convert.js';
export { DecoderBlock, DecoderModel, type DecoderOptions } from './decoder.js';
export { type ExamineOptions, examineModel } from './doctor/examine.js';
export type { Finding } from './doctor/finding.js';
export type { Family, Initializer, NameMap, ParameterKind } from './families/family.js';
export { llama } from './families/llama.js';
export { createModel } from './initialize.js';
export { type LoadModelOptions, loadModel, modelOf, skeleton } from './load.js';
export { familyOf } from './registry.js';
export { modelTensors, type SaveModelOptions, saveModel } from './save.js';
export { tokenizerOf } from './tokenizer.js';
export { configOf } from './weights/open-weights.js';
