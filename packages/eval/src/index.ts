export {
  type ComputeKind,
  cacheBytesOf,
  type Deployment,
  type Device,
  type Footprint,
  type Load,
  type Machine,
  type ModelShape,
  predictDeployment,
} from './capacity/deployment.js';
export { type DecodeProfile, type DecodeProfileOptions, profileDecode } from './decode-profile.js';
export { TaskError } from './errors.js';
export {
  compareResults,
  type Examinee,
  type GenerationTask,
  type MultipleChoiceTask,
  runTask,
  type Task,
  type TaskComparison,
  type TaskResult,
  type TextTask,
} from './evaluation.js';
export { countParameters } from './parameters.js';
export { type Perplexity, type PerplexityOptions, perplexity, tokenLoss } from './perplexity.js';
export { perplexityScore } from './perplexity-score.js';
export { type EvaluationReport, evaluationPage } from './report-page.js';
export {
  type ContinuationRequest,
  type ContinuationScore,
  type ScoringOptions,
  scoreContinuations,
} from './scoring/continuations.js';
export { compareOutputs, type Divergence, type DivergenceOptions } from './scoring/divergence.js';
export { measureSpeed, type Speed, type SpeedOptions, type Spread } from './speed.js';
export {
  type Accuracy,
  accuracyOf,
  comparePaired,
  type Judged,
  type PairedAccuracy,
} from './statistics/accuracy.js';
export {
  type Calibration,
  type ClassificationMetrics,
  calibrationOf,
  classificationMetrics,
} from './statistics/classification.js';
export { mcnemar } from './statistics/mcnemar.js';
export { type PairedDifference, type PairedScore, pairedBootstrap } from './statistics/paired-bootstrap.js';
export {
  type BootstrapOptions,
  bootstrapInterval,
  type Interval,
  wilsonInterval,
} from './statistics/resample.js';
export {
  type Answerer,
  type AnsweringOptions,
  answerItems,
  chooseByGeneration,
  type WrittenResult,
} from './tasks/generated-answers.js';
export type { GenerationItem, Match, MultipleChoiceItem, PromptLanguage } from './tasks/item.js';
export {
  type JudgedComparison,
  judgePairs,
  type OpenAnswer,
  type OpenQuestion,
  type Verdict,
} from './tasks/judge.js';
export { matchesAnswer } from './tasks/match-answer.js';
export {
  type ChoiceResult,
  chooseByLikelihood,
  type MultipleChoiceOptions,
} from './tasks/multiple-choice.js';
export { type ChoiceStyle, chosenLetter, multipleChoicePrompt } from './tasks/multiple-choice-prompt.js';
export {
  type ItemFormat,
  type ReadItemsOptions,
  readGeneration,
  readMultipleChoice,
} from './tasks/read-items.js';
