import { AdapterBank, readAdapter } from '@frugal/lora';
import { huggingFaceNames } from '@frugal/models';
import { createEngine, type LoadedModel, runEngine } from '@frugal/serve/engine';
import { useBackend } from '../backend.js';
import { type Context, processTerminal } from '../context.js';
import { Interrupts } from '../interrupts.js';
import { openModel, openTokenizer } from '../model.js';
import type { EngineSettings } from './engine-settings.js';

/** The process of the engine that `frugal serve` starts: it alone has tensors and weights. */
runEngine(async ({ models, backend, limits }: EngineSettings) => {
  const context: Context = {
    terminal: processTerminal(),
    signal: new AbortController().signal,
    interrupts: new Interrupts(),
  };
  useBackend(backend, context);
  const loaded: LoadedModel[] = [];
  for (const { name, path } of models) {
    const tokenizer = await openTokenizer(path);
    const model = await openModel(path, context);
    const adapters = new AdapterBank(model);
    const loadAdapter = async (adapter: string, folder: string) => {
      adapters.add(adapter, (await readAdapter(model, folder, huggingFaceNames(model.config))).adapters);
    };
    loaded.push({ name, tokenizer, model, adapters, loadAdapter });
  }
  return createEngine(loaded, limits);
});
