/** The steps of the example, for measurements that repeat them with other seeds. */
export { distill } from './distill.js';
export { type Measured, measure } from './evaluate.js';
export { prepare } from './prepare.js';
export { type Laboratory, pretrain, type Trained } from './pretrain.js';
export { quantize } from './quantize.js';
export { RunDirectory } from './run-directory.js';
export { type Settings, settings } from './settings.js';
