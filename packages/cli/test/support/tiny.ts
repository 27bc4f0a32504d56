import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachAdapters, saveAdapter } from '@frugal/lora';
import { createEncoder, createModel, huggingFaceNames, loadModel, saveModel } from '@frugal/models';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { afterAll } from 'vitest';

process.env.FRUGAL_BACKEND = 'reference';

export const corpus = [
  'Fellow citizens of the Senate and of the House of Representatives, '.repeat(8),
  'It is a matter of great satisfaction that the country is at peace. '.repeat(8),
  '却说曹操引兵追赶，玄德兵败，望西而走。'.repeat(8),
];

const VOCABULARY = 300;

export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: VOCABULARY,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};

export const tinyTokenizer = trainByteLevelBpe(corpus, { vocabularySize: VOCABULARY });

/** A folder that goes away after the tests of a file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-cli-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A random model with a trained tokenizer, in the layout of Hugging Face. */
export async function saveTinyModel(
  folder: string,
  config: object = tinyConfig,
  seed = 1,
  texts = corpus,
): Promise<string> {
  const model = createModel({ ...config }, { seed });
  await saveModel(model, folder, {
    tokenizerFiles:
      texts === corpus
        ? tinyTokenizer.files()
        : trainByteLevelBpe(texts, { vocabularySize: VOCABULARY }).files(),
    force: true,
  });
  model.dispose();
  return folder;
}

/** A small BERT with the same tokenizer; its vectors have 32 numbers. */
export async function saveTinyEncoder(folder: string): Promise<void> {
  const size = { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 2 };
  const encoder = createEncoder(
    { architectures: ['BertModel'], vocab_size: VOCABULARY, max_position_embeddings: 64, ...size },
    { seed: 1 },
  );
  await saveModel(encoder, folder, { tokenizerFiles: tinyTokenizer.files(), force: true });
  encoder.dispose();
}

/** An adapter of the model in a folder, in PEFT's layout, that changes nothing. */
export async function saveTinyAdapter(folder: string, modelFolder: string): Promise<void> {
  const model = await loadModel(modelFolder);
  const adapters = attachAdapters(model, { targets: { include: ['blocks.**'] }, rank: 2 });
  await saveAdapter(adapters, folder, { names: huggingFaceNames(model.config) });
  model.dispose();
}
