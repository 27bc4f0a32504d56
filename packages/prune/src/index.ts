export { type OutlierShare, outlierShare, owlSparsities } from './maths/owl.js';
export { maskRows, parsePattern, type SparsityPattern } from './maths/pattern.js';
export { magnitudeScores, wandaScores } from './maths/scores.js';
export { type SparseGptOptions, type SparseGptResult, sparseGpt } from './maths/sparse-gpt.js';
export { mostImportant, unitImportance } from './maths/units.js';
export { layerPruning } from './modifiers/layers.js';
export { headPruning, neuronPruning } from './modifiers/units.js';
export { magnitude, sparseGptPruning, wanda } from './modifiers/weights.js';
export { widthPruning } from './modifiers/width.js';
