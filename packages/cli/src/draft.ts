import { type Draft, draftModel, predictionDraft, promptLookup } from '@frugal/tensor-core/generation';
import type { Context } from './context.js';
import { CommandError } from './errors.js';
import type { Speaker } from './generation.js';
import { modelPath, openModel, openTokenizer } from './model.js';

/**
 * What `--draft` names: `lookup`, `mtp`, or a model.
 * @throws CommandError for a model with another tokenizer: its guesses would mean nothing
 */
export async function openDraft(
  source: string | undefined,
  { model, tokenizer }: Pick<Speaker, 'model' | 'tokenizer'>,
  context: Context,
): Promise<Draft | undefined> {
  if (source === undefined) return undefined;
  if (source === 'lookup') return promptLookup();
  if (source === 'mtp') return predictionDraft(model);
  const path = await modelPath(source, context);
  const { fingerprint } = await openTokenizer(path);
  if (fingerprint !== tokenizer.fingerprint) {
    throw new CommandError({
      where: '--draft',
      what: 'draft and model have different tokenizers',
      got: source,
      hint: 'Use a smaller model of the same family, or --draft lookup.',
    });
  }
  return draftModel(await openModel(path, context, { preferred: true }));
}
