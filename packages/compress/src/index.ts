export {
  type CompressOptions,
  type CompressProgress,
  compress,
  createModifier,
  modelBytes,
} from './compress.js';
export type { Edit } from './edit.js';
export { InvariantError, PlanError, RecipeError } from './errors.js';
export type {
  LossInputs,
  Modifier,
  ModifierFactory,
  ModifierTraining,
  Plan,
  PlannedSite,
  TrainContext,
} from './modifier.js';
export { type CompressPlan, plan, type StagePlan } from './plan.js';
export { type ModifierSpec, matchesTargets, parseRecipe, type Recipe, type Targets } from './recipe.js';
export type { CompressReport, ModifierReport, StageReport } from './report.js';
export { findSites, type Site, type SiteKind } from './site.js';
export type { StatMap, StatName, Stats } from './statistics.js';
export type { TrainFunction, TrainJob } from './training.js';
