export type { BestOptions, BestState } from './best.js';
export type { CheckpointOptions, TrainerState } from './checkpoints.js';
export { NonFiniteLossError, type NonFiniteStep, TrainerError } from './errors.js';
export { type LossObserver, languageModelLoss, type TargetRows, targetRows } from './losses.js';
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
export { train } from './train.js';
export { WeightAverage, type WeightAverageOptions } from './weight-average.js';
