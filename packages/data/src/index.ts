export { type ChatExample, chatExample, isChatRecord } from './chat/chat-example.js';
export { encodeChat, type TokenExample } from './chat/encode-chat.js';
export { readTuningData, type TuningData } from './chat/read-tuning-data.js';
export { CHINESE_RULES } from './cleaning/chinese-rules.js';
export { type CleaningOptions, cleanDocument, qualityRules } from './cleaning/clean-document.js';
export { ENGLISH_RULES } from './cleaning/english-rules.js';
export { identifyLanguage, LANGUAGES, type Language } from './cleaning/language.js';
export { normalizeText } from './cleaning/normalize-text.js';
export { type QualityRule, REPETITION_RULES } from './cleaning/quality-rule.js';
export { TextFacts } from './cleaning/text-facts.js';
export { ContaminationIndex, type DecontaminationOptions, type EvaluationItem } from './decontamination.js';
export { type DeduplicationOptions, type Duplicates, deduplicate } from './deduplication/deduplicate.js';
export { type Document, type Split, splitByHash, textFraction } from './documents.js';
export { DataError } from './errors.js';
export { readEvaluationItems } from './evaluation-items.js';
export { ExampleSampler, type ExampleSamplerOptions, type ExampleSamplerState } from './example-sampler.js';
export { type FilterCounts, type FilterTargets, filterDocuments, type Verdict } from './filter-documents.js';
export {
  continueLineage,
  type LineageCard,
  type LineageStep,
  lineagePath,
  readLineage,
  saveLineage,
} from './lineage.js';
export { saveJsonLines, type WriteLine } from './save-json-lines.js';
export {
  type ClassifierOptions,
  DomainClassifier,
  type TrainedClassifier,
} from './selection/domain-classifier.js';
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
export { holdsRecords, type ReadingOptions, readDocuments, readRecords } from './sources/documents.js';
export type { SourceRecord } from './sources/record.js';
export { type SourceKind, sourceKind } from './sources/source-file.js';
export type { Candidate, SyntheticExample } from './synthetic/candidate.js';
export { distinctPairs } from './synthetic/diversity.js';
export { type CandidateRules, type CandidateVerdict, judgeCandidate } from './synthetic/judge-candidate.js';
export {
  type Gain,
  runSyntheticLoop,
  type StopReason,
  type SyntheticLoopOptions,
  type SyntheticProgress,
  type SyntheticReport,
  type SyntheticRound,
} from './synthetic/synthetic-loop.js';
