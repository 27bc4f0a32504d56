import { type GenerationRequest, generateBatch } from '@frugal/tensor-core/generation';
import { chatTemplate } from '@frugal/tokenizers';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { modelPath, openSpeaker } from '../model.js';
import type { Sampling, Writer } from './writer.js';

/** A model of this machine, asked in its chat template. @throws CommandError when there is none */
export async function localWriter(
  source: string,
  { maxTokens, temperature, topP }: Sampling,
  context: Context,
): Promise<Writer> {
  const { model, tokenizer } = await openSpeaker(await modelPath(source, context), context);
  const template = chatTemplate(tokenizer);
  const { signal } = context;
  return {
    async answer(messages) {
      const requests = messages.map(({ content, seed }): GenerationRequest => {
        const prompt = template.encode([{ role: 'user', content }], { addGenerationPrompt: true });
        if (prompt.length + maxTokens > model.contextLength) {
          throw new CommandError({
            where: 'writing.maxTokens',
            what: 'question and answer do not fit into the context of the teacher',
            got: `${prompt.length} + ${maxTokens} tokens`,
            expected: `at most ${model.contextLength}`,
            hint: 'Lower it, or use shorter seed documents.',
          });
        }
        return { prompt, maxTokens, temperature, topP, seed, stopIds: tokenizer.eosIds, signal };
      });
      const answers: number[][] = requests.map(() => []);
      for await (const { request, id } of generateBatch(model, requests)) answers[request].push(id);
      signal.throwIfAborted();
      return answers.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }));
    },
    close: () => model.dispose(),
  };
}
