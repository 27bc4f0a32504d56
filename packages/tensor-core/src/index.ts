export type {
  Backend,
  Capabilities,
  Kernel,
  Kernels,
  PackedLayout,
  Recording,
  TensorInfo,
  TensorView,
} from './backend.js';
export { Storage } from './backend.js';
export type { Collective } from './collective.js';
export {
  arange,
  type CreationOptions,
  fill,
  fromBytes,
  fromStorage,
  type NestedNumbers,
  ones,
  tensor,
  zeros,
} from './creation.js';
export { type OpObserver, type OpProfile, observer, profile } from './debug.js';
export { dispatch, hasKernel, run } from './dispatch.js';
export {
  allDTypes,
  bf16ToFloat,
  bytesPerElement,
  type DType,
  type FloatDType,
  f16ToFloat,
  floatToBf16,
  floatToF16,
  isFloating,
} from './dtype.js';
export {
  ArgumentError,
  AxisError,
  BackendError,
  DTypeError,
  type ErrorDetails,
  FrugalError,
  IndexError,
  LifetimeError,
  NonFiniteError,
  ShapeError,
} from './errors.js';
export { type GradcheckOptions, GradientError, gradcheck } from './gradcheck.js';
export {
  adoptStorage,
  expectNoLeaks,
  memoryUsage,
  releasePages,
  releaseStorage,
  resetPeakMemory,
} from './memory.js';
export { nullBackend } from './null/index.js';
export { applyActivation } from './ops/apply-activation.js';
export {
  type IndexBound,
  mutatedInputs,
  type OpDefinition,
  type Vjp,
  type VjpContext,
} from './ops/definition.js';
export {
  addRmsNorm,
  attention,
  cholesky,
  concat,
  crossEntropy,
  groupedMatmul,
  integerMatmul,
  klDivergence,
  layerNorm,
  packedMatmul,
  rmsNorm,
  rope,
  scatterAddAlongAxis,
  scatterAddRows,
  softmaxTopK,
  sort,
  sumOfSquares,
  swiglu,
  topK,
  triangularSolve,
  where,
} from './ops/functions.js';
export { operations } from './ops/index.js';
export {
  type AdamWAttributes,
  type AttentionAttributes,
  type AxesAttributes,
  type GateActivation,
  type LinearAttributes,
  type OpName,
  type OpSpecs,
  type PackedAttributes,
  primitiveOps,
  type RandomAttributes,
  type RopeAttributes,
} from './ops/specs.js';
export { packMatrix, type RowReader } from './pack-matrix.js';
export { groupedPackedMatmul, PackedTensor } from './packed-tensor.js';
export { Random, type RandomOptions, type RandomState } from './random.js';
export { RecordedOps, readIndices, recordOps } from './recording.js';
export { HostStorage, referenceBackend } from './reference/index.js';
export { currentBackend, setBackend, withBackend } from './registry.js';
export { keep, scope } from './scope.js';
export {
  broadcastShapes,
  contiguousStrides,
  formatShape,
  isContiguous,
  type Shape,
  sameShape,
  sizeOf,
} from './shape.js';
export {
  checkpoint,
  checkpointAll,
  collectGradients,
  customGradient,
  enableGrad,
  isRecording,
  isTraining,
  noGrad,
  type Recompute,
} from './tape.js';
export { type Axes, type Operand, Tensor } from './tensor.js';
export { tensorPieces } from './tensor-pieces.js';
export { type TraceLevel, type TraceOptions, traceOps } from './trace.js';
export { transfer } from './transfer.js';
