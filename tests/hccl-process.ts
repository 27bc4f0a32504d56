import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AscendBackend, ascendBackend, hcclCollective } from '@frugal/backend-ascend';
import { createModel } from '@frugal/models';
import { type Collective, setBackend, type Tensor, tensor } from '@frugal/tensor-core';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, folderCollective, languageModelLoss, train } from '@frugal/trainer';

/*
 * node hccl-process.mjs FOLDER RANK SIZE: one rank, which writes what it got to FOLDER/rank-RANK.json.
 */
const [folder, rank, size] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

const numbers = async (tensors: readonly Tensor[]) => {
  const all: number[][] = [];
  for (const one of tensors) all.push([...(await one.toFloat32())]);
  return all;
};

async function operations(collective: Collective, backend: AscendBackend) {
  const own = (dtype: 'f32' | 'bf16' | 'i32') => tensor([rank + 1, 10 * rank, 1], { dtype, backend });
  const parts = Array.from({ length: size }, (_, to) =>
    tensor(
      Array.from({ length: to + rank }, () => 10 * rank + to),
      { shape: [to + rank], backend },
    ),
  );
  return {
    sums: await numbers(await collective.allReduce([own('f32'), own('bf16'), own('i32')])),
    sent: await numbers(await collective.broadcast([own('f32')], size - 1)),
    gathered: await numbers(await collective.allGather([own('bf16')])),
    exchanged: await numbers(await collective.allToAll(parts)),
  };
}

/** A few steps of a small model: losses, and its weights at the end. */
async function training(collective: Collective) {
  const model = createModel(
    {
      architectures: ['LlamaForCausalLM'],
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      vocab_size: 13,
      max_position_embeddings: 32,
    },
    { seed: 1 },
  );
  const batch = nextTokenBatch(
    [0, 1, 2].map((s) => Int32Array.from({ length: 9 }, (_, i) => (3 * i + s) % 13)),
  );
  const run = train({
    model,
    batches: { next: () => batch, state: () => ({}), restore: () => {} },
    loss: languageModelLoss(model),
    optimizer: new AdamW(),
    schedule: constant({ peak: 0.01 }),
    steps: 3,
    clipNorm: 1,
    distributed: { collective },
  });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const weights = await numbers([...model.namedParameters()].map(([, { value }]) => value));
  return { losses, weights };
}

const backend = ascendBackend();
setBackend(backend);
const base = await folderCollective({ folder: join(folder, 'meeting'), rank, size, pollMilliseconds: 5 });
const collective = await hcclCollective(backend, base);
const result = {
  ...(await operations(collective, backend)),
  ...(await training(collective)),
  received: collective.received - base.received,
};
await collective.barrier();
collective.close();
writeFileSync(join(folder, `rank-${rank}.json`), JSON.stringify(result));
