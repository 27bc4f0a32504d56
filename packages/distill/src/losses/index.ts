export {
  type DivergenceOptions,
  divergenceLoss,
  storedDivergenceLoss,
  type Teacher,
} from './divergence-loss.js';
export {
  type Divergence,
  forwardKL,
  jensenShannon,
  reverseKL,
  skewKL,
  skewReverseKL,
} from './divergences.js';
export { type HiddenDistance, hiddenLoss } from './hidden-loss.js';
export { logsAt, type TopLogs, topLogs } from './top-logs.js';
export { uldLoss } from './uld-loss.js';
