import { countParameters } from '@frugal/eval';
import { createModel } from '@frugal/models';
import { type Backend, noGrad, type OpProfile, type Tensor } from '@frugal/tensor-core';
import { ModelSteps, PagedKVCache } from '@frugal/tensor-core/generation';
import { type CausalLM, isLinearLike, stepBatch } from '@frugal/tensor-core/nn';
import { operationsPerToken } from '../shared/operations.js';
import { printProfile } from '../shared/print-profile.js';
import type { Row } from '../shared/result.js';
import { median } from '../shared/statistics.js';
import { timed } from '../shared/timed.js';
import { mixtureConfig } from './mixture-config.js';
import { packedModel } from './packed-model.js';
import { STATED } from './stated.js';

/**
 * Whole models: 8 of 64 experts and one shared beside a dense model with as many parameters, one decoding step of 1 and of 16
 * sequences. The fixed configuration is the one of 1.7 B parameters: layers of OLMoE's shape (arXiv:2409.02060) at a quarter of its
 * depth with a shared expert, 91 % of the parameters in experts, so that a step reads nearly a gigabyte, as models that are worth
 * compressing do. In smaller ones, which are measured as well, what both sides share (attention, the head, the time between
 * kernels) hides what experts save.
 */
interface Size {
  readonly name: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  /** Neurons of an expert. */
  readonly neurons: number;
  readonly vocabulary: number;
}

const [EXPERTS, CHOSEN] = [64, 8];

const sizes: readonly Size[] = [
  { name: '0.1 B', width: 512, layers: 4, heads: 8, keyHeads: 8, neurons: 256, vocabulary: 4096 },
  { name: '0.4 B', width: 768, layers: 7, heads: 12, keyHeads: 4, neurons: 384, vocabulary: 8192 },
  { name: '0.9 B', width: 1024, layers: 8, heads: 16, keyHeads: 4, neurons: 512, vocabulary: 16384 },
  { name: STATED, width: 2048, layers: 4, heads: 16, keyHeads: 16, neurons: 1024, vocabulary: 16384 },
];

function configs({ width, layers, heads, keyHeads, neurons, vocabulary }: Size) {
  const common = {
    hidden_size: width,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyHeads,
    vocab_size: vocabulary,
    max_position_embeddings: 512,
  };
  const sparse = {
    ...common,
    ...mixtureConfig({ neurons, experts: EXPERTS, chosen: CHOSEN }),
  };
  const dense = {
    ...common,
    architectures: ['LlamaForCausalLM'],
    intermediate_size: (EXPERTS + 1) * neurons,
  };
  return { sparse, dense };
}

/** Weights in bf16, which is what they are read in. */
async function inBf16(config: Readonly<Record<string, unknown>>): Promise<CausalLM> {
  const model = createModel(config, { seed: 1 });
  for (const parameter of model.parameters()) parameter.value = noGrad(() => parameter.value.cast('bf16'));
  model.computeDType = 'bf16';
  return model;
}

/** Bytes of weights that a step of some tokens reads, when experts are chosen evenly. */
function bytesOfStep(model: CausalLM, tokens: number): number {
  const touched = 1 - (1 - CHOSEN / EXPERTS) ** tokens;
  let bytes = 0;
  for (const [path, module] of model.namedModules())
    if (isLinearLike(module)) bytes += module.weightBytes * (/\.experts\./.test(path) ? touched : 1);
  return bytes;
}

/** Milliseconds of decoding steps, as generation runs them. */
function decoder(model: CausalLM, sequences: number) {
  const cache = new PagedKVCache(model.cacheSpec, { tokens: 16 * sequences });
  const steps = new ModelSteps(model, cache);
  const open = Array.from({ length: sequences }, () => cache.open());
  return {
    steps,
    run: async (tokens: readonly number[]) => {
      const parts = open.map((sequence, i) => ({ sequence, tokens: [tokens[i]], logits: 1 }));
      const milliseconds = await timed(() => steps.run(parts).logits as Tensor);
      for (const sequence of open) cache.truncate(sequence, 0);
      return milliseconds;
    },
    dispose() {
      steps.dispose();
      cache.dispose();
    },
  };
}

/** How many experts of a layer the rows of such a step choose, in the mean. */
async function touchedExperts(model: CausalLM, tokens: readonly number[]): Promise<number> {
  const names = model.blocks.map((_, i) => `blocks.${i}.mlp.load`);
  const batch = stepBatch(
    tokens.map((token) => [token]),
    { vocabularySize: model.vocabularySize },
  );
  const { collected } = noGrad(() => model.forward({ ...batch, collect: new Set(names) }));
  let touched = 0;
  for (const load of collected.values())
    touched += (await load.toFloat32()).filter((rows) => rows > 0).length / names.length;
  return touched;
}

interface Pair {
  readonly sparse: CausalLM;
  readonly dense: CausalLM;
}

async function stepRows(label: string, { sparse, dense }: Pair, repeats: number, profiled: boolean) {
  const rows: Row[] = [];
  const touched: Record<number, number> = {};
  for (const sequences of [1, 16]) {
    const samples: Record<'sparse' | 'dense', number[]> = { sparse: [], dense: [] };
    const sides = { sparse: decoder(sparse, sequences), dense: decoder(dense, sequences) };
    // Other tokens each time, so that caches hold no expert by chance.
    const tokensOf = (i: number) =>
      Array.from({ length: sequences }, (_, s) => ((i + 4) * 977 + s * 131) % 4096);
    for (let i = -3; i < 3 * repeats; i++) {
      const round = {
        sparse: await sides.sparse.run(tokensOf(i)),
        dense: await sides.dense.run(tokensOf(i)),
      };
      if (i >= 0)
        for (const name of ['sparse', 'dense'] as const) samples[name].push(round[name] / sequences);
    }
    touched[sequences] = await touchedExperts(sparse, tokensOf(0));
    for (const name of ['sparse', 'dense'] as const) {
      if (profiled) {
        console.log(
          `${label}, ${name}, ${sequences} a step: ${(sequences * median(samples[name])).toFixed(2)} ms`,
        );
        printProfile(await profileOf(sides[name], tokensOf, repeats));
      }
      sides[name].dispose();
    }
    rows.push({
      name: `8 of 64 experts and 1 shared, ${label}, ${sequences} token${sequences > 1 ? 's' : ''} a step, per token`,
      unit: 'ms',
      peer: 'dense of the same size',
      ours: samples.sparse,
      theirs: samples.dense,
    });
  }
  return { rows, touched };
}

/** Kernels of one step, the longest first. */
async function profileOf(
  { steps, run }: ReturnType<typeof decoder>,
  tokensOf: (i: number) => number[],
  repeats: number,
): Promise<OpProfile[]> {
  steps.measure(true);
  for (let i = 0; i < repeats; i++) await run(tokensOf(i));
  return steps
    .measure(false)
    .map(({ op, calls, seconds }) => ({ op, calls: calls / repeats, seconds: seconds / repeats }))
    .sort((a, b) => b.seconds - a.seconds);
}

export interface ModelRowsOptions {
  readonly repeats: number;
  /** Only these sizes; default all. */
  readonly only?: string | undefined;
  /** Also prints the kernels of a step. */
  readonly profiled: boolean;
}

export async function modelRows(
  backend: Backend,
  { repeats, only, profiled }: ModelRowsOptions,
): Promise<{ readonly rows: Row[]; readonly notes: Record<string, unknown> }> {
  const rows: Row[] = [];
  const counted: Record<string, unknown> = {};
  for (const size of sizes) {
    if (only && size.name !== only) continue;
    const { sparse, dense } = configs(size);
    const pair = { sparse: await packedModel(sparse, backend), dense: await packedModel(dense, backend) };
    const parameters = { sparse: countParameters(pair.sparse), dense: countParameters(pair.dense) };
    const expertShare = (3 * size.layers * EXPERTS * size.width * size.neurons) / parameters.sparse;
    const flops = { sparse: operationsPerToken(pair.sparse), dense: operationsPerToken(pair.dense) };
    const bytes = (model: CausalLM) => ({ 1: bytesOfStep(model, 1), 16: bytesOfStep(model, 16) });
    const measured = await stepRows(`${size.name} in int4`, pair, repeats, profiled);
    rows.push(...measured.rows);
    counted[size.name] = {
      config: sparse,
      ...{ parameters, expertShare, touchedExperts: measured.touched },
      flopsPerToken: { ...flops, ratio: flops.sparse / flops.dense },
      bytesPerStep: { sparse: bytes(pair.sparse), dense: bytes(pair.dense) },
    };
    for (const model of Object.values(pair)) model.dispose();
    if (size !== sizes[0]) continue;
    const wide = { sparse: await inBf16(sparse), dense: await inBf16(dense) };
    rows.push(...(await stepRows(`${size.name} in bf16`, wide, repeats, profiled)).rows);
    for (const model of Object.values(wide)) model.dispose();
  }
  return { rows, notes: { stated: STATED, models: counted } };
}
