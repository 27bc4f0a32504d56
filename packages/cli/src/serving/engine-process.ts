import { createEngine, type LoadedEncoder, type LoadedModel, runEngine } from '@frugal/serve/engine';
import { useBackend } from '../backend.js';
import { type Context, processTerminal } from '../context.js';
import { Interrupts } from '../interrupts.js';
import type { EngineSettings } from './engine-settings.js';
import { loadServedModel } from './load-model.js';

/** The process of the engine that `frugal serve` starts: it alone has tensors and weights. */
runEngine(async ({ models, backend, limits }: EngineSettings) => {
  const context: Context = {
    terminal: processTerminal(),
    signal: new AbortController().signal,
    interrupts: new Interrupts(),
  };
  useBackend(backend, context);
  const loaded: (LoadedModel | LoadedEncoder)[] = [];
  for (const source of models) loaded.push(await loadServedModel(source, context));
  return createEngine(loaded, limits);
});
