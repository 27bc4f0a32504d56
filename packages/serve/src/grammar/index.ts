export { CompiledFormats } from './compiled-formats.js';
export { GrammarError } from './grammar-error.js';
export type { OutputFormat } from './output-format.js';
export type { ToolCallsFormat, ToolFormat } from './tool-calls.js';
