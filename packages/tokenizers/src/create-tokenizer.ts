import { readDefinition, type TokenizerParts } from './file/tokenizer-json.js';
import { PipelineTokenizer } from './pipeline-tokenizer.js';
import type { Tokenizer } from './tokenizer.js';

/**
 * Makes a tokenizer from the contents of its files, anywhere (Node and browser).
 * @throws TokenizerFileError naming file and key of what is wrong
 */
export const createTokenizer = (parts: TokenizerParts): Tokenizer =>
  new PipelineTokenizer(readDefinition(parts));
