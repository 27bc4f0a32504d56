import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuBackend } from '@frugal/backend-cpu';
import { type TensorInput, writeCheckpoint } from '@frugal/checkpoint';
import { convertModel, modelTensors, skeleton } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { machine } from '../shared/result.js';

/**
 * Converts a generated checkpoint in the shape of a Llama of 3 B parameters (sharded, bf16) to GGUF, as it is and
 * quantised, each in a process of its own, and says how much memory that process ever had resident. Fails above 2 GB.
 *
 *   npm run bench -- scale [--layers 28] [--folder DIR]
 */
const LIMIT_BYTES = 2e9;
/** What larger models are extrapolated to. */
const TARGET_PARAMETERS = 21e9;

const { values } = parseArgs({
  options: {
    layers: { type: 'string', default: '28' },
    folder: { type: 'string' },
    to: { type: 'string', multiple: true, default: ['bf16', 'q8_0', 'q4_k'] },
    task: { type: 'string' },
  },
});

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 3072,
  intermediate_size: 8192,
  num_hidden_layers: Number(values.layers),
  num_attention_heads: 24,
  num_key_value_heads: 8,
  vocab_size: 128256,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  tie_word_embeddings: true,
};

interface Measurement {
  readonly seconds: number;
  readonly peakBytes: number;
}

async function parent(): Promise<void> {
  const disk = values.folder ?? tmpdir();
  await mkdir(disk, { recursive: true });
  const folder = await mkdtemp(join(disk, 'frugal-scale-')); // one of its own, which is removed at the end
  const parameters = skeleton(config)
    .parameters()
    .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  try {
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < parameters * 4.5) {
      console.log(
        `not run: ${folder} has ${((bavail * bsize) / 1e9).toFixed(0)} GB free, ${((parameters * 4.5) / 1e9).toFixed(0)} are needed`,
      );
      return;
    }
    console.log(`machine: ${machine()}`);
    console.log(
      `${(parameters / 1e9).toFixed(2)} B parameters, ${((parameters * 2) / 1e9).toFixed(1)} GB of bf16 in shards of 2 GB`,
    );
    const source = join(folder, 'model');
    report('written', run({ make: source }), parameters);
    for (const to of values.to) {
      const output = join(folder, `${to}.gguf`);
      report(`to ${to}`, run({ convert: source, output, to }), parameters);
      await rm(output, { force: true });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(task: object): Measurement {
  const options = ['--layers', values.layers, '--task', JSON.stringify(task)];
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), ...options],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`[scale] ${JSON.stringify(task)}: ${stderr}`);
  return JSON.parse(stdout);
}

function report(what: string, { seconds, peakBytes }: Measurement, parameters: number): void {
  const perBillion = (seconds / parameters) * 1e9;
  const larger = (seconds / parameters) * TARGET_PARAMETERS;
  console.log(
    `${what}: ${seconds.toFixed(1)} s, ${perBillion.toFixed(1)} s per billion, ${(larger / 60).toFixed(0)} min for 21 B; ` +
      `resident at most ${(peakBytes / 1e6).toFixed(0)} MB`,
  );
  if (peakBytes > LIMIT_BYTES) {
    console.error(`more than the limit of ${LIMIT_BYTES / 1e9} GB`);
    process.exitCode = 1;
  }
}

async function child(task: { make?: string; convert?: string; output?: string; to?: string }): Promise<void> {
  setBackend(cpuBackend());
  const start = performance.now();
  if (task.make) await make(task.make);
  else await convertModel(task.convert as string, task.output as string, { to: task.to, force: true });
  const seconds = (performance.now() - start) / 1000;
  console.log(JSON.stringify({ seconds, peakBytes: process.resourceUsage().maxRSS * 1024 }));
}

/** Random bf16 weights of a plausible size, made a piece at a time. */
async function make(path: string): Promise<void> {
  const tensors = modelTensors(skeleton(config)).map(
    (tensor): TensorInput => ({ ...tensor, dtype: 'BF16', bytes: () => pieces(tensor.shape) }),
  );
  const tokenizerFiles = trainByteLevelBpe(['a tokenizer for a model that says nothing'], {
    vocabularySize: 280,
  }).files();
  await writeCheckpoint(
    path,
    { config: { ...config, torch_dtype: 'bfloat16' }, tensors, tokenizerFiles },
    { maxShardBytes: 2e9, durable: false },
  );
}

const PIECE_VALUES = 2 ** 22;
/** Values between 2^-9 and 2^-5, with random signs: a xorshift generator, as speed matters and quality does not. */
const noise = Uint16Array.from({ length: PIECE_VALUES }, (_, i) => {
  let mixed = Math.imul(i + 1, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  mixed ^= mixed >>> 13;
  return (mixed & 0x8000) | ((118 + ((mixed >>> 8) & 3)) << 7) | (mixed & 127);
});

async function* pieces(shape: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = new Uint8Array(noise.buffer);
  const total = 2 * shape.reduce((a, b) => a * b, 1);
  for (let at = 0; at < total; at += bytes.length)
    yield bytes.subarray(0, Math.min(bytes.length, total - at));
}

if (values.task) await child(JSON.parse(values.task));
else await parent();
