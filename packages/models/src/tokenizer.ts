import type { Checkpoint } from '@frugal/checkpoint';
import { loadTokenizer, type Tokenizer, tokenizerFromGguf } from '@frugal/tokenizers';

/**
 * The tokenizer in an open checkpoint: of the files of a directory, or of the metadata of a GGUF file.
 * @throws TokenizerFileError when there is none, naming file and key of what is wrong
 */
export async function tokenizerOf(checkpoint: Checkpoint): Promise<Tokenizer> {
  if (checkpoint.kind === 'gguf')
    return tokenizerFromGguf(Object.fromEntries(checkpoint.tensors.metadata), checkpoint.path);
  return loadTokenizer(checkpoint.path);
}
