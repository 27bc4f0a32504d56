export * from './cache/index.js';
export { type DivergenceName, divergenceByName, divergenceNames } from './divergence-by-name.js';
export { hiddenDistillation, type LayerPair, layerPairs } from './hidden.js';
export { initializeStudent } from './initialize-student.js';
export { logitDistillation } from './logits.js';
export * from './losses/index.js';
export { storedLogitDistillation } from './stored-logits.js';
