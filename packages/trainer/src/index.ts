export type { BestOptions, BestState } from './best.js';
export type { CheckpointOptions, TrainerState } from './checkpoints.js';
export { type BatchUnits, sequenceUnits } from './distributed/batch-units.js';
export { type FolderOptions, folderCollective } from './distributed/folder/transport.js';
export { localCollectives } from './distributed/local.js';
export { joinMpiJob, type MpiJob } from './distributed/mpi/job.js';
export { mpiLaunch } from './distributed/mpi/library.js';
export type { DistributedOptions, DistributedStep, LocalUpdateOptions } from './distributed/options.js';
export type { Transport } from './distributed/transport.js';
export { TransportCollective } from './distributed/transport-collective.js';
export {
  DeviceFailureError,
  type FailedStep,
  NonFiniteLossError,
  type NonFiniteStep,
  StoppedByOthersError,
  TrainerError,
} from './errors.js';
export {
  classificationLoss,
  type LabelBatch,
  regressionLoss,
  TextClassifier,
  type TextClassifierOptions,
  type TextScorer,
} from './label-losses.js';
export { type LossObserver, languageModelLoss, type TargetRows, targetRows } from './losses.js';
export { type MultiTokenOptions, multiTokenLoss } from './multi-token-loss.js';
export { AdamW, type AdamWOptions } from './optimizers/adamw.js';
export { AdamW8bit, type AdamW8bitOptions } from './optimizers/adamw-8bit.js';
export { createOptimizer, muonWithAdamW, type OptimizerConfig } from './optimizers/create.js';
export { dynamicMap } from './optimizers/dynamic-map.js';
export { type ParameterGroup, ParameterGroups } from './optimizers/groups.js';
export { Muon, type MuonOptions } from './optimizers/muon.js';
export type { NamedParameter, Optimizer, Update } from './optimizers/optimizer.js';
export { SGD, type SGDOptions } from './optimizers/sgd.js';
export { type SlotMember, SlotOptimizer } from './optimizers/slots.js';
export type {
  BatchLoss,
  BestEvent,
  CheckpointEvent,
  EvaluationEvent,
  EvaluationOptions,
  Loss,
  Precision,
  ResumeEvent,
  StepEvent,
  TrainableModel,
  TrainEvent,
  TrainOptions,
} from './options.js';
export {
  GroupSampler,
  type GroupSamplerOptions,
  type RewardedPrompt,
  targetLogProbs,
} from './policy/group-sampler.js';
export {
  groupAdvantages,
  type PolicyBatch,
  type PolicyOptions,
  type PolicySample,
  policyLoss,
} from './policy/policy-loss.js';
export {
  type PreferenceBatch,
  type PreferenceOptions,
  type PreferencePair,
  preferenceLoss,
  preferenceMetrics,
  withReference,
} from './preference-loss.js';
export { type ProgressBarOptions, progressBar, renderProgress } from './progress-bar.js';
export { runPage } from './run-page.js';
export {
  constant,
  cosine,
  linear,
  type Schedule,
  type ScheduleOptions,
  schedules,
  warmupStableDecay,
} from './schedules.js';
export { type TargetSequence, tokenLogProbs } from './token-logprobs.js';
export { train } from './train.js';
export { WeightAverage, type WeightAverageOptions } from './weight-average.js';
