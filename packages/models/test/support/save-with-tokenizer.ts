import { trainByteLevelBpe } from '@frugal/tokenizers';
import { createModel, saveModel } from '../../src/index.js';

const corpus = ['It is a matter of great satisfaction that the country is at peace. '.repeat(9)];

export interface TokenizerChanges {
  /** Keys of tokenizer_config.json. */
  readonly tokenizerConfig?: object;
  readonly tokenizer?: (json: {
    post_processor: unknown;
    added_tokens: { id: number; content: string }[];
  }) => void;
  /** More files, or others. */
  readonly files?: Record<string, string>;
}

/** Saves a random model together with a trained tokenizer of 290 ids. */
export async function saveWithTokenizer(
  path: string,
  config: object,
  changes: TokenizerChanges = {},
): Promise<void> {
  const model = createModel({ ...config }, { seed: 3 });
  const files = trainByteLevelBpe(corpus, { vocabularySize: 290 }).files();
  const settings = JSON.parse(files['tokenizer_config.json']);
  files['tokenizer_config.json'] = JSON.stringify({ ...settings, ...changes.tokenizerConfig });
  const tokenizer = JSON.parse(files['tokenizer.json']);
  changes.tokenizer?.(tokenizer);
  files['tokenizer.json'] = JSON.stringify(tokenizer);
  await saveModel(model, path, { tokenizerFiles: { ...files, ...changes.files } });
  model.dispose();
}
