export type { SiteOutcome } from './apply-stage.js';
export {
  type Compressed,
  type CompressOptions,
  type CompressProgress,
  compress,
  compressWeights,
  createModifier,
  type WeightOnlyOptions,
} from './compress.js';
export { defineMethod } from './define-method.js';
export type { Edit } from './edit.js';
export { CompressError, InvariantError, PlanError, RecipeError } from './errors.js';
export { type InverseFactor, inverseFactor } from './hessian.js';
export type { LayerBytes } from './layer-bytes.js';
export type {
  LossInputs,
  Modifier,
  ModifierFactory,
  ModifierTraining,
  Outcome,
  Plan,
  PlannedPacking,
  PlannedSite,
  StatsOf,
  StorageCheck,
  TrainContext,
} from './modifier.js';
export {
  backendOf,
  denseLayer,
  isDense,
  keepWeight,
  type LayerChange,
  readWeight,
  squaredOutput,
  weightEdit,
} from './output-error.js';
export { type CompressPlan, plan, type StagePlan } from './plan.js';
export { presetRecipe, presets } from './presets.js';
export { type ModifierSpec, matchesTargets, parseRecipe, type Recipe, type Targets } from './recipe.js';
export type { CompressReport, ModifierReport, StageReport } from './report.js';
export { reportPage } from './report-page.js';
export { configOfLayers, type Rebuild } from './restructure.js';
export { openRunStore, type RunStore, type StoredPart } from './run-store.js';
export { type Allocation, Knapsack, type PricedChoice } from './search/knapsack.js';
export { type MethodSpec, type SearchOption, standardOptions } from './search/option.js';
export type {
  SearchOptions,
  SearchPoint,
  SearchProgress,
  SearchResult,
  SearchTarget,
} from './search/search.js';
export { paretoChart, searchPage } from './search/search-page.js';
export { openSearchStore, type SearchState, type SearchStore } from './search/search-store.js';
export { type StructureResult, searchRecipe } from './search/search-structures.js';
export { type SearchStructure, standardStructures } from './search/structure.js';
export type { CheckpointSize } from './search/unit.js';
export { findSites, type LinearSite, linearSites, type Site, type SiteKind } from './site.js';
export { type SpreadErrorOptions, spreadError } from './spread-error.js';
export {
  type Collector,
  collectors,
  type Growing,
  type StatMap,
  type StatName,
  type Stats,
} from './statistics.js';
export type { TrainFunction, TrainingData, TrainingStage, TrainJob } from './training.js';
