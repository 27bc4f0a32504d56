import { openCheckpoint } from '@frugal/checkpoint';
import { loadModel, tokenizerOf } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { loadTokenizer, type Tokenizer } from '@frugal/tokenizers';
import type { Context } from './context.js';
import { CommandError } from './errors.js';
import { exists } from './files.js';
import { withProgress } from './progress.js';

/**
 * The folder or file that MODEL names.
 * @throws CommandError for the kinds of MODEL that cannot be opened yet
 */
export function modelDirectory(source: string): string {
  const refuse = (got: string, hint: string): never => {
    throw new CommandError({
      where: 'MODEL',
      what: 'this version opens Hugging Face directories and GGUF files only',
      got,
      expected: 'a folder with config.json, *.safetensors and tokenizer.json, or a .gguf file',
      hint,
    });
  };
  if (/^hf:/i.test(source))
    refuse(source, `Download it first: huggingface-cli download ${source.slice(3)} --local-dir DIR.`);
  if (/\.(safetensors|bin|pth?|ckpt|onnx)$/i.test(source))
    refuse(source, 'Name the folder, not the file in it.');
  return source;
}

/** Loads the weights of MODEL on the current backend. */
export function openModel(source: string, context: Context): Promise<CausalLM> {
  const path = modelDirectory(source);
  return withProgress(context, 'Loading', (update) =>
    loadModel(path, { onProgress: ({ done, total }) => update(done, total) }),
  );
}

/** @throws CommandError when there is no such folder or file */
export async function openTokenizer(source: string): Promise<Tokenizer> {
  const path = modelDirectory(source);
  if (!(await exists(path))) throw new CommandError({ where: path, what: 'there is no such folder or file' });
  if (!path.toLowerCase().endsWith('.gguf')) return loadTokenizer(path);
  const checkpoint = await openCheckpoint(path);
  try {
    return await tokenizerOf(checkpoint);
  } finally {
    await checkpoint.close();
  }
}
