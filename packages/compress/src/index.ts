export type { SiteOutcome } from './apply-stage.js';
export {
  type Compressed,
  type CompressOptions,
  type CompressProgress,
  compress,
  createModifier,
  modelBytes,
} from './compress.js';
export { defineMethod } from './define-method.js';
export type { Edit } from './edit.js';
export { CompressError, InvariantError, PlanError, RecipeError } from './errors.js';
export { type InverseFactor, inverseFactor } from './hessian.js';
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
export { backendOf, keepWeight, type LayerChange, readWeight, squaredOutput } from './output-error.js';
export { type CompressPlan, plan, type StagePlan } from './plan.js';
export { presetRecipe, presets } from './presets.js';
export { type ModifierSpec, matchesTargets, parseRecipe, type Recipe, type Targets } from './recipe.js';
export type { CompressReport, ModifierReport, StageReport } from './report.js';
export { reportPage } from './report-page.js';
export { configOfLayers, type Rebuild } from './restructure.js';
export { openRunStore, type RunStore, type StoredPart } from './run-store.js';
export { findSites, type LinearSite, linearSites, type Site, type SiteKind } from './site.js';
export { type SpreadErrorOptions, spreadError } from './spread-error.js';
export { type Collector, collectors, type StatMap, type StatName, type Stats } from './statistics.js';
export type { TrainFunction, TrainJob } from './training.js';
