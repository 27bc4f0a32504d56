import { closeOnSignal, serveModels } from '@frugal/serve';
import type { Laboratory, Trained } from './pretrain.js';

/** Serves all models of the table, the int8 student first, until Ctrl-C. */
export async function serveStudent(
  models: ReadonlyMap<string, Trained>,
  { data }: Laboratory,
  port: number,
): Promise<void> {
  const server = await serveModels({
    models: [...models]
      .reverse()
      .map(([name, { model }]) => ({ name: name.replaceAll(' ', '-'), model, tokenizer: data.tokenizer })),
    port,
  });
  console.log(`\nChat page: ${server.url}   API: ${server.url}v1   (Ctrl-C ends)`);
  await closeOnSignal(server);
}
