/** The steps of the example, for measurements that repeat them with other seeds. */
export { distill } from './distill.js';
export { type Measured, measure } from './evaluate.js';
export { type Prepared, prepare } from './prepare.js';
export { batchesOf, type Laboratory, newModel, pretrain, type Trained } from './pretrain.js';
export { quantize } from './quantize.js';
export { RunDirectory } from './run-directory.js';
export { type Settings, settings } from './settings.js';
