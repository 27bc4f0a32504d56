import { loadavg } from 'node:os';
import { cpuBackend } from '@frugal/backend-cpu';
import { compress } from '@frugal/compress';
import { countParameters } from '@frugal/eval';
import { createModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { noGrad, Random, run, scope, setBackend, type Tensor, tensor } from '@frugal/tensor-core';
import { ModelSteps, PagedKVCache } from '@frugal/tensor-core/generation';
import { type CausalLM, PackedLinear } from '@frugal/tensor-core/nn';
import { operationsPerToken } from '../shared/operations.js';
import { Peer } from '../shared/peer.js';
import { type Row, report } from '../shared/result.js';
import { memoryRows } from './expert-memory.js';

/**
 * What experts cost. First the products of a layer of experts, forward and both gradients: 2,048 tokens, each to 8 of 64
 * experts, 512 channels, 256 neurons; beside one dense product of the same FLOPs, and beside a loop of PyTorch products.
 * Then whole models: 8 of 64 experts and one shared against a dense model of the same number of parameters, both in bf16 and
 * both packed in 4 bits, one decoding step of 1 and of 16 sequences. `npm run bench -- moe`; `-- moe -- --repeats 3` is quick, `--threads 1` less
 * disturbed by others: with two, PyTorch's threads wait for each other at the end of every small product. `--models` leaves
 * the products out. `--memory` measures something else: half of the experts in memory (expert-memory.ts), `--folder DIR` says on
 * which disk.
 */
const [T, k, E, C, F] = [2048, 8, 64, 512, 256];
const ROWS = T * k;
const THREADS = Number(option('--threads') ?? 2);
const repeats = Number(option('--repeats') ?? 9);

function option(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

type Load = 'balanced' | 'Zipf';
type DType = 'f32' | 'bf16';

/** Rows of each expert: all the same, or falling as 1 / rank. */
function offsetsOf(load: Load): Int32Array {
  const weights = Array.from({ length: E }, (_, e) => (load === 'balanced' ? 1 : 1 / (e + 1)));
  const sums = weights.map((_, e) => weights.slice(0, e + 1).reduce((a, b) => a + b));
  return Int32Array.from([0, ...sums.map((sum) => Math.round((ROWS * sum) / sums[E - 1]))]);
}

/** Milliseconds of one call, all of its results there. */
async function timed(compute: () => Tensor): Promise<number> {
  const start = performance.now();
  const last = scope(() => noGrad(compute));
  await last.slice(0, 0, 1).toFloat32();
  const milliseconds = performance.now() - start;
  last.dispose();
  return milliseconds;
}

function products(dtype: DType) {
  const random = new Random(1);
  const draw = (...shape: number[]) => noGrad(() => scope(() => random.normal(shape).cast(dtype)));
  const [x, g, stack, matrix] = [draw(ROWS, C), draw(ROWS, F), draw(E, C, F), draw(C, F)];
  return {
    dense: () => {
      x.matmul(matrix);
      g.matmul(matrix.transpose());
      return x.transpose().matmul(g);
    },
    grouped: (offsets: Tensor) => {
      run('groupedMatmul', [x, stack, offsets], { transposeWeight: false });
      run('groupedMatmul', [g, stack, offsets], { transposeWeight: true });
      return run('groupedMatmulWeightGradient', [x, g, offsets], { groups: E });
    },
  };
}

async function groupedRows(): Promise<Row[]> {
  const rows: Row[] = [];
  const peer = await Peer.start('torch_experts.py', ['--threads', String(THREADS)]);
  if (typeof peer === 'string') console.log(`no PyTorch: ${peer}`);
  for (const dtype of ['f32', 'bf16'] as const) {
    const { dense, grouped } = products(dtype);
    for (const load of ['balanced', 'Zipf'] as const) {
      const offsets = tensor(offsetsOf(load));
      const samples: Record<'grouped' | 'dense' | 'torch', number[]> = { grouped: [], dense: [], torch: [] };
      for (let i = -2; i < repeats; i++) {
        const round = {
          grouped: await timed(() => grouped(offsets)),
          dense: await timed(dense),
          torch:
            typeof peer === 'string' ? Number.NaN : 1000 * (await peer.run(1, `${dtype}-${load}`)).seconds,
        };
        if (i >= 0)
          for (const name of ['grouped', 'dense', 'torch'] as const) samples[name].push(round[name]);
      }
      const name = `64 experts, forward and gradients, ${dtype}, ${load}`;
      const unit = 'ms';
      rows.push({ name, unit, peer: 'one dense product', ours: samples.grouped, theirs: samples.dense });
      const isThere = typeof peer !== 'string';
      rows.push({
        name,
        unit,
        peer: isThere ? `loop, ${peer.version}` : null,
        ours: samples.grouped,
        theirs: isThere ? samples.torch : [],
      });
    }
  }
  if (typeof peer !== 'string') peer.quit();
  return rows;
}

const sizes = {
  hidden_size: C,
  num_hidden_layers: 4,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  vocab_size: 4096,
  max_position_embeddings: 512,
  tie_word_embeddings: true,
};
const sparseConfig = {
  ...sizes,
  architectures: ['Qwen2MoeForCausalLM'],
  intermediate_size: F,
  moe_intermediate_size: F,
  shared_expert_intermediate_size: F,
  num_experts: E,
  num_experts_per_tok: k,
  norm_topk_prob: true,
  qkv_bias: false,
};
const denseConfig = { ...sizes, architectures: ['LlamaForCausalLM'], intermediate_size: (E + 1) * F };

/** Weights in bf16, which is what they are read in. */
function inBf16(config: typeof sparseConfig | typeof denseConfig): CausalLM {
  const model = createModel(config, { seed: 1 });
  for (const parameter of model.parameters()) parameter.value = noGrad(() => parameter.value.cast('bf16'));
  model.computeDType = 'bf16';
  return model;
}

/** The blocks in 4 bits, as most models are served; activations in 8 bits. */
async function inInt4(config: typeof sparseConfig | typeof denseConfig): Promise<CausalLM> {
  const modifiers = [{ type: 'quant.rtn', targets: { include: ['blocks.**'] }, format: 'int4-g32' }];
  const recipe = { version: 1 as const, seed: 0, stages: [{ name: 'int4', modifiers }] };
  const { model } = await compress(createModel(config, { seed: 1 }), recipe, { methods: [roundToNearest] });
  for (const [, module] of model.namedModules()) if (module instanceof PackedLinear) module.weight.prepare();
  return model;
}

async function modelRows(): Promise<{ readonly rows: Row[]; readonly notes: Record<string, unknown> }> {
  const [sparse, dense] = [inBf16(sparseConfig), inBf16(denseConfig)];
  const rows = [
    ...(await stepRows('bf16', sparse, dense)),
    ...(await stepRows('int4', await inInt4(sparseConfig), await inInt4(denseConfig))),
  ];
  const expertShare =
    [...sparse.namedParameters()]
      .filter(([path]) => path.includes('.experts.'))
      .reduce((sum, [, { value }]) => sum + value.size, 0) / countParameters(sparse);
  const [own, theirs] = [operationsPerToken(sparse), operationsPerToken(dense)];
  const notes = {
    parameters: { sparse: countParameters(sparse), dense: countParameters(dense), expertShare },
    flopsPerToken: { sparse: own, dense: theirs, ratio: own / theirs },
  };
  return { rows, notes };
}

/** Milliseconds of decoding steps, as generation runs them. */
function decoder(model: CausalLM, sequences: number): (tokens: readonly number[]) => Promise<number> {
  const cache = new PagedKVCache(model.cacheSpec, { tokens: 16 * sequences });
  const steps = new ModelSteps(model, cache);
  const open = Array.from({ length: sequences }, () => cache.open());
  return async (tokens) => {
    const parts = open.map((sequence, i) => ({ sequence, tokens: [tokens[i]], logits: 1 }));
    const milliseconds = await timed(() => steps.run(parts).logits as Tensor);
    for (const sequence of open) cache.truncate(sequence, 0);
    return milliseconds;
  };
}

async function stepRows(kind: string, sparse: CausalLM, dense: CausalLM): Promise<Row[]> {
  const rows: Row[] = [];
  for (const sequences of [1, 16]) {
    const samples: Record<'sparse' | 'dense', number[]> = { sparse: [], dense: [] };
    const steps = { sparse: decoder(sparse, sequences), dense: decoder(dense, sequences) };
    for (let i = -3; i < 3 * repeats; i++) {
      // Other tokens each time, so that caches hold no expert by chance.
      const tokens = Array.from({ length: sequences }, (_, s) => ((i + 4) * 977 + s * 131) % 4096);
      const round = { sparse: await steps.sparse(tokens), dense: await steps.dense(tokens) };
      if (i >= 0)
        for (const name of ['sparse', 'dense'] as const) samples[name].push(round[name] / sequences);
    }
    const name = `8 of 64 experts and 1 shared in ${kind}, ${sequences} token${sequences > 1 ? 's' : ''} a step, per token`;
    rows.push({
      name,
      unit: 'ms',
      peer: 'dense of the same size',
      ours: samples.sparse,
      theirs: samples.dense,
    });
  }
  return rows;
}

setBackend(cpuBackend({ threads: THREADS }));
/** Of the last minute: more than the threads of this program means that others were at work. */
const before = loadavg()[0];
if (process.argv.includes('--memory')) {
  const settings = { warmUp: 64, steps: 96, folder: option('--folder') };
  const { rows, notes } = await memoryRows(Number(option('--repeats') ?? 3), settings);
  report(rows, { threads: THREADS, seed: 1, loadAverage: { before, after: loadavg()[0] }, ...notes });
} else {
  const grouped = process.argv.includes('--models') ? [] : await groupedRows();
  const { rows, notes } = await modelRows();
  const loadAverage = { before, after: loadavg()[0] };
  console.log(JSON.stringify(notes));
  report([...grouped, ...rows], {
    threads: THREADS,
    seed: 1,
    loadAverage,
    sizes: { T, k, E, C, F },
    ...notes,
  });
}
