import { cpuBackend } from '@frugal/backend-cpu';
import { expectNoLeaks, memoryUsage, noGrad, observer, Random, scope, setBackend } from '@frugal/tensor-core';
import { generateBatch, PagedKVCache, StepRecorder } from '@frugal/tensor-core/generation';
import { type CausalLM, Linear, onForward, type StepBatch, stepBatch } from '@frugal/tensor-core/nn';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createModel } from '../src/index.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 61,
  max_position_embeddings: 256,
};

/** A model beside itself: the same tokens step by step, recorded over one cache and op by op over another. */
class Twins {
  readonly recorder: StepRecorder;
  private readonly caches: readonly PagedKVCache[];
  private position = 0;

  constructor(
    readonly model: CausalLM,
    private readonly sequences = 1,
    private readonly collect?: ReadonlySet<string>,
  ) {
    this.recorder = new StepRecorder(model);
    this.caches = [0, 1].map(() => new PagedKVCache(model.cacheSpec, { tokens: 1024, backend }));
    for (const cache of this.caches) for (let i = 0; i < sequences; i++) cache.open();
  }

  /** Both results of one step, as bytes. */
  async step(count = 1): Promise<readonly [recorded: string, direct: string]> {
    const { model } = this;
    const [recorded, direct] = this.caches.map((cache, twin) =>
      scope(() =>
        noGrad(() => {
          const batch = this.batch(cache, count);
          if (twin === 0) return this.recorder.run(batch);
          const output = model.forward(batch);
          return { logits: output.logits().cast('f32'), collected: output.collected };
        }),
      ),
    );
    this.position += count;
    const texts = await Promise.all(
      [recorded, direct].map(async ({ logits, collected }) => {
        const all = [logits!, ...collected.values()];
        const bytes = await Promise.all(all.map((tensor) => tensor.bytes()));
        for (const tensor of all) tensor.dispose();
        return bytes.map((one) => Buffer.from(one).toString('hex')).join();
      }),
    );
    return [texts[0], texts[1]];
  }

  async expectSame(steps: number, count = 1): Promise<void> {
    for (let i = 0; i < steps; i++) {
      const [recorded, direct] = await this.step(count);
      expect(recorded).toBe(direct);
    }
  }

  dispose(): void {
    this.recorder.dispose();
    for (const cache of this.caches) cache.dispose();
  }

  private batch(cache: PagedKVCache, count: number): StepBatch {
    const ids = Array.from({ length: this.sequences }, (_, i) => i);
    const { position } = this;
    return stepBatch(
      ids.map((id) => Array.from({ length: count }, (_, i) => (7 * (position + i) + 11 * id) % 61)),
      {
        vocabularySize: 61,
        logits: 'last',
        startPositions: ids.map(() => position),
        cache: cache.extend(
          ids,
          ids.map(() => count),
        ),
        backend,
        ...(this.collect && { collect: this.collect }),
      },
    );
  }
}

let backend: ReturnType<typeof cpuBackend>;
let model: CausalLM;

beforeEach((context) => {
  try {
    backend = cpuBackend({ threads: 2, minimumWork: 0 });
  } catch (error) {
    context.skip((error as Error).message);
  }
  setBackend(backend);
  model = createModel(config, { seed: 3 });
});
afterEach(() => model?.dispose());

describe('recorded steps', () => {
  it('give the bits of direct ones while the text grows over many pages', async () => {
    const twins = new Twins(model);
    await twins.expectSame(5, 7);
    await twins.expectSame(250);
    expect(twins.recorder.recordings).toBeGreaterThan(2); // page tables of several widths
    twins.dispose();
  });

  it('of several sequences and of several rows each', async () => {
    const twins = new Twins(model, 3, new Set(['blocks.0.hidden']));
    await twins.expectSame(5, 4);
    await twins.expectSame(5, 1);
    await twins.expectSame(4, 4);
    twins.dispose();
  });

  it('notice a replaced weight, a changed one, another layer, a hook, an option', async () => {
    const twins = new Twins(model);
    await twins.expectSame(4);
    const random = new Random(5);
    const weight = () => random.normal([32, 32]).mul(0.2);
    const layer = model.module('blocks.0.attention.query') as Linear;
    const recorded = async () => {
      await twins.expectSame(3);
      expect(twins.recorder.recordings).toBe(1);
    };
    await recorded();
    layer.weight.value = weight();
    await recorded();
    noGrad(() => layer.weight.value.assign(weight()));
    await recorded();
    const other = new Linear(weight());
    model.replace('blocks.1.attention.output', other);
    await recorded();
    let calls = 0;
    const hook = onForward(other, () => {
      calls++;
    });
    await twins.step();
    expect(calls).toBe(2);
    hook[Symbol.dispose]();
    await twins.expectSame(3);
    model.computeDType = 'bf16';
    await recorded();
    twins.dispose();
    layer.dispose();
  });

  it('stand back while ops are observed', async () => {
    const twins = new Twins(model);
    await twins.expectSame(4);
    let launches = 0;
    observer.current = (_op, _inputs, _outputs, _attributes, launch) => {
      launches++;
      launch();
    };
    try {
      await twins.step();
    } finally {
      observer.current = null;
    }
    expect(launches).toBeGreaterThan(20);
    await twins.expectSame(2);
    twins.dispose();
  });

  it('tell how long each kernel took', async () => {
    const twins = new Twins(model);
    await twins.expectSame(3);
    twins.recorder.measure(true);
    await twins.expectSame(2);
    const times = twins.recorder.measure(false);
    const normalizations = times.find(({ op }) => op === 'rmsNorm' || op === 'addRmsNorm');
    expect(normalizations!.calls).toBeGreaterThanOrEqual(2);
    expect(times.every(({ seconds }) => seconds > 0)).toBe(true);
    expect(twins.recorder.measure(false)).toEqual([]);
    twins.dispose();
  });

  it('leave no memory behind, and none grows from token to token', async () => {
    await expectNoLeaks(async () => {
      const held: number[] = [];
      for await (const { id } of generateBatch(model, [{ prompt: [1, 2, 3], maxTokens: 100 }])) {
        expect(id).toBeLessThan(61);
        held.push(memoryUsage().storages);
      }
      expect(Math.max(...held.slice(5))).toBe(Math.min(...held.slice(5)));
    });
    const { liveBytes } = backend.memoryUsage();
    for await (const _ of generateBatch(model, [{ prompt: [1, 2, 3], maxTokens: 40 }]));
    expect(backend.memoryUsage().liveBytes).toBe(liveBytes);
  });
});
