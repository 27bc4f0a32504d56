import { rm } from 'node:fs/promises';
import type { RunDirectory } from '@frugal/example-pretrain-distill-deploy/steps';
import { runFrugal } from '@frugal/example-support';
import { loadModel } from '@frugal/models';
import { type RunningServer, serveModels } from '@frugal/serve';
import { loadTokenizer } from '@frugal/tokenizers';

/** The model of the first place in 8 bits, as a directory. */
export async function quantize(run: RunDirectory): Promise<string> {
  const path = run.file('int8');
  if (run.has('int8')) return path;
  await rm(path, { recursive: true, force: true });
  await runFrugal(['quantize', run.file('a/model'), '--recipe', 'int8', '--out', path]);
  return path;
}

export async function deploy(path: string, port: number): Promise<RunningServer> {
  const [model, tokenizer] = [await loadModel(path), await loadTokenizer(path)];
  return serveModels({ models: [{ name: 'int8', model, tokenizer }], port });
}

/** What the server's API makes of the beginning of a text. @throws Error for any answer but 200 */
export async function complete({ url }: RunningServer, prompt: string, maxTokens: number): Promise<string> {
  const response = await fetch(`${url}v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'int8', prompt, max_tokens: maxTokens, temperature: 0 }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`[serve] no answer: got ${response.status} ${text}`);
  return JSON.parse(text).choices[0].text;
}
