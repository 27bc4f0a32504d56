import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { cudaBackend, locateBinding } from '@frugal/backend-cuda';
import { createModel } from '@frugal/models';
import { noGrad, Random, scope, setBackend, type Tensor } from '@frugal/tensor-core';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, train } from '@frugal/trainer';

/**
 * What backend-cuda costs over TensorFlow itself: microseconds per op beside the raw call of the binding, and memory over
 * many training steps. Takes the TensorFlow that scripts/fetch-tensorflow.mjs brought, if it did;
 * `FRUGAL_CUDA_ALLOW_CPU=1` runs it without a GPU. `--steps N` (default 5000), 0: the ops alone.
 */
const OPS = 20_000;
const ROUNDS = 9;

interface RawBinding {
  createTensor(shape: number[], dtype: number, values: Float32Array): number;
  deleteTensor(id: number): void;
  executeOp(name: string, attributes: never[], inputs: number[], outputs: number): { id: number }[];
}

function microsecondsPerOp(work: (count: number) => void): number {
  const start = performance.now();
  work(OPS);
  return ((performance.now() - start) * 1000) / OPS;
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];
const spread = (values: number[]) => `${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}`;

function measureOps(): void {
  const backend = cudaBackend();
  const raw = createRequire(import.meta.url)(locateBinding()!.binding) as RawBinding;
  const numbers = Float32Array.from({ length: 64 }, (_, i) => i);
  const ids = [0, 1].map(() => raw.createTensor([64], 1, numbers));
  const rawAdds = (count: number) => {
    for (let i = 0; i < count; i++) raw.deleteTensor(raw.executeOp('AddV2', [], ids, 1)[0].id);
  };
  const [a, b] = [1, 2].map((seed) => new Random(seed).normal([64], { backend }));
  const ourAdds = (count: number) =>
    noGrad(() => {
      for (let i = 0; i < count; i++) scope(() => void a.add(b));
    });
  const times: { raw: number[]; ours: number[] } = { raw: [], ours: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    const pair = { raw: microsecondsPerOp(rawAdds), ours: microsecondsPerOp(ourAdds) };
    if (round === 0) continue; // warm-up
    times.raw.push(pair.raw);
    times.ours.push(pair.ours);
  }
  for (const id of ids) raw.deleteTensor(id);
  for (const tensor of [a, b] as Tensor[]) tensor.dispose();
  const [theirs, ours] = [median(times.raw), median(times.ours)];
  console.log(`raw executeOp and deleteTensor: ${theirs.toFixed(2)} µs per op (${spread(times.raw)})`);
  console.log(`through dispatch, in a scope:   ${ours.toFixed(2)} µs per op (${spread(times.ours)})`);
  console.log(`on top: ${(ours - theirs).toFixed(2)} µs (adding 64 numbers, ${ROUNDS} rounds of ${OPS})`);
}

/** Collects garbage now, so that what is measured is what stays. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

async function measureMemory(steps: number): Promise<void> {
  const backend = cudaBackend();
  setBackend(backend);
  const config = {
    architectures: ['LlamaForCausalLM'],
    ...{ hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4 },
    ...{ num_key_value_heads: 2, vocab_size: 61, max_position_embeddings: 64 },
  };
  const model = createModel(config, { seed: 3 });
  let start = 0;
  const sequence = (first: number) => Int32Array.from({ length: 12 }, (_, i) => (first + 3 * i) % 61);
  const batches = {
    next: () => nextTokenBatch([sequence(start++), sequence(start + 4)]),
    state: () => start,
    restore: () => {},
  };
  const schedule = constant({ peak: 0.001 });
  const run = train({
    model,
    batches,
    loss: languageModelLoss(model),
    optimizer: new AdamW(),
    schedule,
    steps,
  });
  const began = performance.now();
  for await (const event of run) {
    if (event.type !== 'step' || (event.step !== 100 && event.step % Math.ceil(steps / 10) !== 0)) continue;
    collectGarbage();
    const megabytes = Math.round(process.memoryUsage().rss / 2 ** 20);
    console.log(
      `step ${event.step}: ${megabytes} MiB, ${backend.handles} handles, loss ${event.loss.toFixed(4)}`,
    );
  }
  console.log(`${((performance.now() - began) / steps).toFixed(2)} ms per step`);
}

const fetched = resolve('.cache/tensorflow/tfjs_binding.node'); // the runner of benches starts them in the root
if (existsSync(fetched)) process.env.FRUGAL_TENSORFLOW ??= fetched;
const wish = process.argv.indexOf('--steps');
const steps = wish < 0 ? 5000 : Number(process.argv[wish + 1]);
console.log(`machine: ${cpus()[0].model}, ${cpus().length} threads, Node ${process.version}`);
console.log(cudaBackend().description);
measureOps();
if (steps > 0) await measureMemory(steps);
