export { ConfigReader, ModelConfigError } from './config-reader.js';
export {
  type Conversion,
  type ConvertedTensor,
  type ConvertOptions,
  convertModel,
  planConversion,
} from './convert/convert.js';
export { type Relayout, type RelayoutOptions, relayoutModel } from './convert/relayout.js';
export { DecoderBlock, DecoderModel, type DecoderOptions } from './decoder.js';
export { type ExamineOptions, examineModel } from './doctor/examine.js';
export type { Finding } from './doctor/finding.js';
export { EncoderBlock, EncoderModel } from './encoder.js';
export { type EncoderUse, encoderUse } from './encoder-use.js';
export type { Family, Initializer, NameMap, ParameterKind } from './families/family.js';
export { feedForwardInputs } from './feed-forward-inputs.js';
export { ggufLayout } from './gguf/layout.js';
export { type CreateModelOptions, createEncoder, createModel, createTabular } from './initialize.js';
export { LatentAttention } from './latent-attention.js';
export {
  encoderOf,
  type LoadModelOptions,
  loadEncoder,
  loadModel,
  loadTabular,
  modelOf,
  skeleton,
  structureOf,
} from './load.js';
export { extendMixture, fitGates, type GateText, mixModels, type Specialist } from './mix.js';
export { huggingFaceNames } from './module-names.js';
export { familyOf, kindOf } from './registry.js';
export {
  modelTensors,
  type PlannedLayer,
  type SaveModelOptions,
  savedBytes,
  saveModel,
  savingProblems,
} from './save.js';
export { type TabularBatch, TabularModel } from './tabular.js';
export { tokenizerOf } from './tokenizer.js';
export { unpackModel } from './unpack.js';
export { feedForwardSizeOf, sparseConfig, type UpcycleModelOptions, upcycleModel } from './upcycle.js';
export { configOf } from './weights/open-weights.js';
