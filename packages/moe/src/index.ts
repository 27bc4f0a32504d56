export { type BalanceOptions, nextSelectionBias, sequenceLoss, switchLoss, zLoss } from './balance.js';
export { combineRows, type Dispatch, dispatchRows } from './dispatch.js';
export { Experts } from './experts.js';
export { MixtureOfExperts, type MixtureOptions } from './mixture.js';
export { Router, type Routing, type RoutingGroups, type RoutingOptions, route } from './router.js';
export { hasSelectionBias, SelectionBalancer } from './selection-balancer.js';
export { StackedLinear } from './stacked-linear.js';
