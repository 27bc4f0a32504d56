import type { TokenizerDefinition } from '../definition.js';
import { BpeModel } from './bpe.js';
import { LibraryModel } from './library-models.js';
import type { WordModel } from './model.js';

/** The model of a definition. `readsBytes`: words come as text, and bytes are the model's symbols. */
export const createModel = (definition: TokenizerDefinition, readsBytes: boolean): WordModel =>
  definition.modelType === 'BPE' ? new BpeModel(definition, readsBytes) : new LibraryModel(definition);
