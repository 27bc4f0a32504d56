export { type Arguments, parseArguments } from './arguments.js';
export { frugal, runCommand, runFrugal } from './commands.js';
export { fetchFiles } from './files.js';
export { Interrupted, runExample } from './run-example.js';
export { smallLlama } from './small-llama.js';
export { uniform } from './uniform.js';
