export { type Context, processTerminal, type Terminal } from './context.js';
export { type RunOptions, run } from './run.js';
