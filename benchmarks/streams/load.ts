import { type CpuBackend, cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint } from '@frugal/checkpoint';
import type { AdapterBank } from '@frugal/lora';
import { loadModel, tokenizerOf } from '@frugal/models';
import { createEngine, type Engine, type GenerationRequest } from '@frugal/serve/engine';
import { setBackend } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';

/** What all parts measure with. */
export interface Setting {
  readonly path: string;
  readonly backend: CpuBackend;
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  readonly streams: number;
  readonly newTokens: number;
}

/** Tokens of the prompt of a stream. */
export const PROMPT = 32;

export async function openSetting(path: string, streams: number, newTokens: number): Promise<Setting> {
  const backend = cpuBackend();
  setBackend(backend);
  const model = await loadModel(path);
  const checkpoint = await openCheckpoint(path);
  // Without tokens that end a text: all write as much as llama.cpp does.
  const tokenizer: Tokenizer = Object.create(await tokenizerOf(checkpoint), { eosIds: { value: [] } });
  await checkpoint.close();
  return { path, backend, model, tokenizer, streams, newTokens };
}

type Request = Partial<GenerationRequest>;

/** An engine and what is asked of it. No prompt comes twice, unless it is meant to. */
export class Load {
  private readonly engine: Engine;
  private round = 0;

  constructor(
    readonly setting: Setting,
    adapters?: AdapterBank,
  ) {
    const { model, tokenizer, streams } = setting;
    this.engine = createEngine([{ name: 'model', model, tokenizer, ...(adapters && { adapters }) }], {
      maxRunning: streams,
    });
  }

  /** The tokens that `llama_cpp_streams.mjs` reads. */
  newPrompt(length: number, stream = 0): { readonly ids: readonly number[] } {
    if (stream === 0) this.round++;
    return {
      ids: Array.from(
        { length },
        (_, i) => ((i + 1) * 7919 + stream * 104729 + this.round * 1299709) % 32000,
      ),
    };
  }

  /** All streams begin at once. New tokens per second, prompts included. */
  async speed(requestOf: (stream: number) => Request = () => ({})): Promise<number> {
    const start = performance.now();
    const counts = Array.from({ length: this.setting.streams }, async (_, stream) => {
      const prompt = this.newPrompt(PROMPT, stream);
      const request = { maxTokens: this.setting.newTokens, temperature: 0, ...requestOf(stream) };
      for await (const event of this.engine.submit({ model: 'model', prompt, ...request }))
        if (event.type === 'finish') return event.usage.completionTokens;
      return 0;
    });
    const tokens = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    return tokens / ((performance.now() - start) / 1000);
  }

  /** Seconds until a prompt of one stream is read and its first token written. */
  async firstToken(prompt: { readonly ids: readonly number[] }): Promise<number> {
    const start = performance.now();
    for await (const event of this.engine.submit({ model: 'model', prompt, maxTokens: 1, temperature: 0 }))
      if (event.type === 'finish') break;
    return (performance.now() - start) / 1000;
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}
