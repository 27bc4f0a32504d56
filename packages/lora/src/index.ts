export { AdaptedLinear, type LowRank } from './adapted-linear.js';
export { AdapterSet } from './adapter-set.js';
export { type AdapterOptions, attachAdapters, linearLayers } from './attach.js';
export { AdapterError } from './errors.js';
export { loadAdapter } from './peft/read.js';
export { type SaveAdapterOptions, saveAdapter } from './peft/write.js';
