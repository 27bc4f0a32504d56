import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { frugal, type Outcome } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
await writeFile(at('corpus.jsonl'), corpus.map((text) => JSON.stringify({ text })).join('\n'));
await saveTinyModel(at('tokenizer'));
await succeed(['data', 'pack', at('corpus.jsonl'), '--tokenizer', at('tokenizer'), '--out', at('packed')]);

async function succeed(args: readonly string[]): Promise<Outcome> {
  const outcome = await frugal(args);
  expect(outcome.code, outcome.err).toBe(0);
  return outcome;
}

const { vocab_size: _, ...shape } = tinyConfig;

async function writeConfig(name: string, changes: object = {}, training: object = {}): Promise<string> {
  const files = { data: 'packed', tokenizer: 'tokenizer', out: name };
  const settings = { steps: 6, sequence: 16, batch: 2, ...training };
  await writeFile(
    at(`${name}.yaml`),
    JSON.stringify({ model: shape, ...files, training: settings, ...changes }),
  );
  return at(`${name}.yaml`);
}

describe('the schedule', () => {
  it('can be one that is stable and falls at the end', async () => {
    const training = {
      steps: 10,
      schedule: 'warmup-stable-decay',
      warmup: 2,
      decay: 0.4,
      learningRate: 0.01,
    };
    await succeed(['pretrain', await writeConfig('stable', {}, training)]);
    const log = (await readFile(at('stable.training/log.jsonl'), 'utf8')).trim().split('\n');
    const rates = log.map((line) => Number((JSON.parse(line).learningRate * 1000).toFixed(6)));
    expect(rates).toEqual([0, 5, 10, 10, 10, 10, 10, 7.5, 5, 2.5]);
  });
});

describe('pretrain', () => {
  it('saves the average of the weights of the best evaluation, and stops when none is better', async () => {
    const evaluation = { texts: ['corpus.jsonl'], every: 2, patience: 1 };
    const optimizer = {
      type: 'groups',
      groups: [
        {
          name: 'blocks',
          paths: ['blocks.*'],
          kind: 'matrix',
          optimizer: { type: 'adamw8bit', minimumSize: 100 },
        },
        { name: 'rest', optimizer: { type: 'sgd', momentum: 0.9 }, learningRate: 0.1 },
      ],
    };
    // So fast that the first evaluation is the best one.
    const training = {
      steps: 20,
      averageDecay: 0.5,
      recompute: true,
      learningRate: 10,
      warmup: 0,
      optimizer,
    };
    const config = await writeConfig('early', { evaluation }, training);
    const { best, tokens } = JSON.parse((await succeed(['pretrain', config, '--json'])).out);
    expect(best.stoppedEarly).toBe(true);
    expect(await readFile(at('early.training/log.html'), 'utf8')).toContain('bitsPerByte');
    expect(tokens).toBeLessThan(20 * 32);
    const measured = await succeed([
      'perplexity',
      at('early'),
      '--text',
      at('corpus.jsonl'),
      '--context',
      '16',
      '--json',
    ]);
    expect(JSON.parse(measured.out).bitsPerByte).toBeCloseTo(best.value, 4);
  });

  it('trains the blocks that predict further tokens', async () => {
    const model = {
      ...{
        architectures: ['DeepseekV3ForCausalLM'],
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
      },
      ...{
        num_attention_heads: 2,
        num_key_value_heads: 2,
        q_lora_rank: null,
        kv_lora_rank: 8,
        qk_nope_head_dim: 8,
      },
      ...{
        qk_rope_head_dim: 4,
        v_head_dim: 8,
        n_routed_experts: 4,
        num_experts_per_tok: 2,
        n_shared_experts: 1,
      },
      ...{
        moe_intermediate_size: 8,
        first_k_dense_replace: 1,
        n_group: 1,
        topk_group: 1,
        max_position_embeddings: 64,
      },
      num_nextn_predict_layers: 1,
    };
    const lossOf = async (name: string, training: object) => {
      const config = await writeConfig(name, { model }, { steps: 2, ...training });
      return JSON.parse((await succeed(['pretrain', config, '--json'])).out).loss as number;
    };
    const [further, plain] = [await lossOf('further', {}), await lossOf('plain', { multiTokenWeight: 0 })];
    // In the beginning every token costs about log 300 = 5.7, whether it is the next one or the one after it.
    expect(further / plain).toBeGreaterThan(1.2);
    expect(further / plain).toBeLessThan(1.4);
    const none = await writeConfig('none', {}, { multiTokenWeight: 0.1 });
    expect((await frugal(['pretrain', none])).err).toMatch(/no blocks that predict further tokens/);
  });
});
