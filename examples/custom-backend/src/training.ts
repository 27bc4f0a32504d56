import { createModel } from '@frugal/models';
import { type Backend, currentBackend, setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, train } from '@frugal/trainer';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 61,
  max_position_embeddings: 64,
};

/** Token ids that repeat after a while: a small model learns them quickly. */
function sequence(first: number, length: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => (first * 7 + i * 3) % config.vocab_size);
}

function batchesFrom(start: number) {
  let at = start;
  return {
    next: () => nextTokenBatch([sequence(at++, 17), sequence(at + 4, 12)]),
    state: () => at,
    restore: (state: unknown) => {
      at = state as number;
    },
  };
}

export interface SmallRun {
  /** Loss of each step. */
  readonly losses: readonly number[];
  /** What the trained model says after a few tokens, by the most likely one each time. */
  readonly tokens: readonly number[];
}

/** Trains a Llama of 23,000 parameters and continues a text with it; nothing here knows which backend computes. */
export async function trainSmallLlama(
  backend: Backend,
  { steps, afterStep = () => {} }: { steps: number; afterStep?: () => void },
): Promise<SmallRun> {
  const before = currentBackend();
  setBackend(backend);
  try {
    const model = createModel(config, { seed: 3 });
    const optimizer = new AdamW({ weightDecay: 0.1 });
    const losses: number[] = [];
    const run = train({
      model,
      batches: batchesFrom(0),
      loss: languageModelLoss(model),
      optimizer,
      schedule: constant({ peak: 0.01 }),
      steps,
      clipNorm: 1,
    });
    for await (const event of run) {
      if (event.type !== 'step') continue;
      losses.push(event.loss);
      afterStep();
    }
    const tokens: number[] = [];
    for await (const id of generate(model, sequence(2, 8), { maxTokens: 12, temperature: 0 }))
      tokens.push(id);
    model.dispose();
    optimizer.dispose();
    return { losses, tokens };
  } finally {
    setBackend(before);
  }
}
