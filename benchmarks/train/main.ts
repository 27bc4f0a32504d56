import { cpuBackend } from '@frugal/backend-cpu';
import { createModel } from '@frugal/models';
import { type OpProfile, profile, setBackend } from '@frugal/tensor-core';
import type { BatchSource } from '@frugal/tensor-core/nn';
import { AdamW, languageModelLoss, schedules, train } from '@frugal/trainer';
import { Peer } from '../shared/peer.js';
import { type Row, report } from '../shared/result.js';

/**
 * Tokens per second of the training step of a Llama of 6.8 M parameters (AdamW, clipping), beside PyTorch, in turns:
 * `npm run bench -- train`. With `--profile`: where our time goes.
 */
const VOCABULARY = 4096;
const BATCH = 8;
const TOKENS = 256;
const STEPS_PER_TURN = 3;
const TURNS = 7;

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 256,
  intermediate_size: 688,
  num_hidden_layers: 6,
  num_attention_heads: 8,
  vocab_size: VOCABULARY,
  max_position_embeddings: TOKENS,
  tie_word_embeddings: false,
};

/** Random tokens: the same work as real ones. */
function randomBatches(): BatchSource {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % VOCABULARY;
  };
  return {
    next: () => ({
      sequences: Array.from({ length: BATCH }, () => Int32Array.from({ length: TOKENS }, next)),
      targets: Int32Array.from({ length: BATCH * TOKENS }, next),
    }),
    state: () => state,
    restore: (saved) => {
      state = saved as number;
    },
  };
}

/** Our trainer as a peer: `turn()` makes a few steps and returns tokens per second. */
function ours(precision: 'f32' | 'bf16'): () => Promise<number> {
  const model = createModel(config, { seed: 1 });
  const optimizer = new AdamW({ beta2: 0.95, weightDecay: 0.1 });
  const batches = randomBatches();
  const turn = async (steps: number) => {
    const options = {
      model,
      batches,
      loss: languageModelLoss(model),
      optimizer,
      steps,
      clipNorm: 1,
      precision,
    };
    const start = performance.now();
    for await (const _ of train({ ...options, schedule: schedules.constant({ peak: 1e-3 }) }));
    return (steps * BATCH * TOKENS * 1000) / (performance.now() - start);
  };
  return () => turn(STEPS_PER_TURN);
}

async function compare(precision: 'f32' | 'bf16', threads: number): Promise<Row> {
  const turn = ours(precision);
  await turn();
  const peer = await Peer.start('torch_train_step.py', ['--mode', precision, '--threads', String(threads)]);
  if (typeof peer === 'string') console.error(`PyTorch is left out: ${peer}`);
  const row = {
    name: `training step 6.8 M ${precision}, ${threads} threads`,
    peer: 'PyTorch eager',
    unit: 'tokens/s',
    ours: [] as number[],
    theirs: [] as number[],
  };
  for (let i = 0; i < TURNS; i++) {
    row.ours.push(await turn());
    if (typeof peer === 'string') continue;
    const { tokens, seconds } = await peer.run(STEPS_PER_TURN);
    row.theirs.push(tokens / seconds);
  }
  if (typeof peer !== 'string') peer.quit();
  return row;
}

function printProfile(ops: readonly OpProfile[]): void {
  const total = ops.reduce((sum, { seconds }) => sum + seconds, 0);
  for (const { op, calls, seconds } of ops) {
    console.log(
      `${op.padEnd(24)} ${String(calls).padStart(6)} calls ${(1000 * seconds).toFixed(1).padStart(9)} ms ${((100 * seconds) / total).toFixed(1).padStart(5)} %`,
    );
  }
}

const threads = Number(process.env.FRUGAL_THREADS ?? 2);
const backend = cpuBackend({ threads });
setBackend(backend);
if (process.argv.includes('--profile')) {
  const turn = ours(process.argv.includes('--bf16') ? 'bf16' : 'f32');
  await turn();
  const start = performance.now();
  const { ops } = await profile(turn);
  printProfile(ops);
  console.log(`all ${(performance.now() - start).toFixed(0)} ms for ${STEPS_PER_TURN} steps`);
} else {
  report([await compare('f32', threads), await compare('bf16', threads)], { backend: backend.description });
}
