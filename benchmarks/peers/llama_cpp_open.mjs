/**
 * llama.cpp through node-llama-cpp, opened for one token, as a process of its own:
 *   node llama_cpp_open.mjs FOLDER_OF_PACKAGE MODEL.gguf PROMPT
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, modelPath, prompt] = process.argv.slice(2);
const { getLlama } = await import(pathToFileURL(join(folder, 'dist/index.js')));
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const context = await model.createContext({ contextSize: 256 });
const sequence = context.getSequence();
for await (const token of sequence.evaluate(model.tokenize(prompt), { temperature: 0 })) {
  console.log(prompt + model.detokenize([token]));
  break;
}
process.exit(0);
