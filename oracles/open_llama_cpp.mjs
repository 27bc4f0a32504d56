/**
 * Greedy tokens of GGUF files in llama.cpp:
 *   node open_llama_cpp.mjs FOLDER PROMPT COUNT FILE.gguf...
 * FOLDER has node-llama-cpp in its node_modules. Prints one line of JSON per file: { file, promptIds, ids, addsBos }.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, prompt, count, ...files] = process.argv.slice(2);
const { resolve } = createRequire(pathToFileURL(join(folder, 'any.js')));
const { getLlama } = await import(pathToFileURL(resolve('node-llama-cpp')).href);
const llama = await getLlama({ gpu: false, logLevel: 'error' });
for (const modelPath of files) {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 64 });
  const addsBos = model.tokens.shouldPrependBosToken;
  const promptIds = [...(addsBos ? [model.tokens.bos] : []), ...model.tokenize(prompt, true)];
  const ids = [];
  for await (const id of context.getSequence().evaluate(promptIds, { temperature: 0 })) {
    ids.push(id);
    if (ids.length >= Number(count)) break;
  }
  console.log(JSON.stringify({ file: modelPath, promptIds, ids, addsBos }));
  await context.dispose();
  await model.dispose();
}
process.exit(0);
