export { CompiledFormats } from './compiled-formats.js';
export { GrammarError } from './grammar-error.js';
export type { OutputFormat } from './output-format.js';
