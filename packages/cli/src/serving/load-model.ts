import { openCheckpoint } from '@frugal/checkpoint';
import { AdapterBank, readAdapter } from '@frugal/lora';
import {
  configOf,
  encoderOf,
  encoderUse,
  huggingFaceNames,
  kindOf,
  modelOf,
  tokenizerOf,
} from '@frugal/models';
import type { ServedModel } from '@frugal/serve/engine';
import { currentBackend } from '@frugal/tensor-core';
import type { Context } from '../context.js';
import { expertMemorySettings } from '../model.js';
import { spread } from '../placement.js';
import { preferredDType } from '../preferred-dtype.js';
import { withProgress } from '../progress.js';
import type { ModelSource } from './engine-settings.js';

/** Loads what is served: a model that writes, with room for adapters, or one that reads, used as its checkpoint says. */
export async function loadServedModel(
  { name, path, expertMemory, place }: ModelSource,
  context: Context,
): Promise<ServedModel> {
  const checkpoint = await openCheckpoint(path);
  try {
    const tokenizer = await tokenizerOf(checkpoint);
    return await withProgress(context, 'Loading', async (update) => {
      const onProgress = ({ done, total }: { done: number; total: number }) => update(done, total);
      if (kindOf(await configOf(checkpoint)) === 'encoder') {
        const encoder = await encoderOf(checkpoint, { onProgress });
        return { name, tokenizer, encoder, ...(await encoderUse(checkpoint)) };
      }
      const model = await modelOf(checkpoint, {
        dtype: place ? 'f32' : preferredDType([currentBackend()]),
        expertMemory: await expertMemorySettings(expertMemory),
        onProgress,
      });
      if (place) await spread(model, place);
      const adapters = new AdapterBank(model);
      const loadAdapter = async (adapter: string, folder: string) => {
        adapters.add(adapter, (await readAdapter(model, folder, huggingFaceNames(model.config))).adapters);
      };
      return { name, tokenizer, model, adapters, loadAdapter };
    });
  } finally {
    await checkpoint.close();
  }
}
