export * from './browser.js';
export { loadTokenizer, saveTokenizer } from './files.js';
