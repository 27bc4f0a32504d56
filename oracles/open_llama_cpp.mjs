/**
 * Greedy tokens of GGUF files in llama.cpp, their chat templates, and the tokens of a text with special ones:
 *   node open_llama_cpp.mjs FOLDER PROMPT COUNT TEXT FILE.gguf...
 * FOLDER has node-llama-cpp in its node_modules. Prints one line of JSON per file: { file, promptIds, ids, addsBos,
 * template, textIds }. Keys and values are f32.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, prompt, count, text, ...files] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(join(folder, 'any.js')));
const { getLlama } = await import(pathToFileURL(resolve('node-llama-cpp')).href);
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 1 });
for (const modelPath of files) {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: 64,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  });
  const addsBos = model.tokens.shouldPrependBosToken;
  const promptIds = [...(addsBos ? [model.tokens.bos] : []), ...model.tokenize(prompt, true)];
  const ids = [];
  for await (const id of context.getSequence().evaluate(promptIds, { temperature: 0 })) {
    ids.push(id);
    if (ids.length >= Number(count)) break;
  }
  const template = model.fileInfo.metadata.tokenizer.chat_template;
  const textIds = model.tokenize(text, true);
  console.log(JSON.stringify({ file: modelPath, promptIds, ids, addsBos, template, textIds }));
  await context.dispose();
  await model.dispose();
}
process.exit(0);
