export { roundToNearest } from './round-to-nearest.js';
