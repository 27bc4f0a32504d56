export { type DivergenceName, divergenceByName, divergenceNames } from './divergence-by-name.js';
export { logitDistillation } from './logits.js';
export * from './losses/index.js';
