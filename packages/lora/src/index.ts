export { AdaptedLinear, type LowRank } from './adapted-linear.js';
export { AdapterSet } from './adapter-set.js';
export { type AdapterOptions, attachAdapters } from './attach.js';
