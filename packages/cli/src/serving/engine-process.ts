import { openEngine, runEngine, type ServedModel } from '@frugal/serve/engine';
import { useBackend } from '../backend.js';
import { type Context, processTerminal } from '../context.js';
import { Interrupts } from '../interrupts.js';
import type { EngineSettings } from './engine-settings.js';
import { loadServedModel } from './load-model.js';

/** The process of the engine that `frugal serve` starts: it alone has tensors and weights. */
runEngine(async ({ models, backend, limits, adapters }: EngineSettings) => {
  const context: Context = {
    terminal: processTerminal(),
    signal: new AbortController().signal,
    interrupts: new Interrupts(),
  };
  useBackend(backend, context);
  const sources = models.map((source) => ({
    ...{ name: source.name, bytes: source.bytes },
    load: () => loadServedModel(source, context),
    unload: (loaded: ServedModel) => ('encoder' in loaded ? loaded.encoder : loaded.model).dispose(),
  }));
  const engine = await openEngine(sources, limits);
  for (const adapter of adapters) await engine.loadAdapter(adapter);
  return engine;
});
