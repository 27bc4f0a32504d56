export { type BalanceOptions, nextSelectionBias, sequenceLoss, switchLoss, zLoss } from './balance.js';
export { clusterDirections } from './cluster.js';
export { combineRows, type Dispatch, dispatchRows } from './dispatch.js';
export {
  type Eviction,
  ExpertMemory,
  type ExpertMemoryOptions,
  type ExpertMemoryUse,
  type StoredExpert,
} from './expert-memory.js';
export { ExpertResidence } from './expert-residence.js';
export { Experts } from './experts.js';
export { type FitGateOptions, fitGate } from './fit-gate.js';
export { inspectRouting, type LayerRouting, mixturesOf, type RoutedDomain } from './inspect.js';
export { expertMemoryOf, limitExperts } from './limit-experts.js';
export { type ExpertWeights, mergeExperts, mergeGroups, mergeShares } from './merge.js';
export { MixtureOfExperts, type MixtureOptions } from './mixture.js';
export {
  compareRouting,
  type ModelOutcome,
  ModelRouter,
  type ModelRouterOptions,
  type ModelRouterState,
  type RoutedModel,
  type RoutingComparison,
  type RoutingResult,
} from './model-router.js';
export { Router, type Routing, type RoutingGroups, type RoutingOptions, route } from './router.js';
export { hasSelectionBias, SelectionBalancer } from './selection-balancer.js';
export { SharedGate } from './shared-gate.js';
export { StackedLinear } from './stacked-linear.js';
export {
  expertRouter,
  expertStacks,
  type FeedForwardWeights,
  planUpcycle,
  sharedExperts,
  type UpcycleOptions,
  type UpcyclePlan,
} from './upcycle.js';
