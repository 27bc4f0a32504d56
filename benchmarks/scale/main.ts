import { mkdir, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type TensorInput, writeCheckpoint } from '@frugal/checkpoint';
import { modelTensors, skeleton } from '@frugal/models';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { type ProgramRun, runResident } from '../shared/resident.js';
import { machine } from '../shared/result.js';

/**
 * Converts a generated checkpoint in the shape of a Llama of 3 B parameters (sharded, bf16) to GGUF, as it is and
 * quantised, and runs recipes of `frugal quantize` on it, each in a process of its own, and says how much memory that process
 * ever had resident. Fails above 2 GB.
 *
 *   npm run bench -- scale [--layers 28] [--folder DIR] [--to FORMAT…] [--recipe PRESET…]
 */
const frugal = fileURLToPath(new URL('../../../packages/cli/bin/frugal.js', import.meta.url));
const LIMIT_BYTES = 2e9;
/** What larger models are extrapolated to. */
const TARGET_PARAMETERS = 21e9;

const { values } = parseArgs({
  options: {
    layers: { type: 'string', default: '28' },
    folder: { type: 'string' },
    to: { type: 'string', multiple: true, default: ['bf16', 'q8_0', 'q4_k'] },
    recipe: { type: 'string', multiple: true, default: ['int8', 'q4_k_m'] },
    // For the process that this program starts.
    make: { type: 'string' },
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
    const self = fileURLToPath(import.meta.url);
    report('written', runResident(self, ['--layers', values.layers, '--make', source]), parameters);
    for (const to of values.to) {
      const output = join(folder, `${to}.gguf`);
      report(`convert --to ${to}`, runResident(frugal, ['convert', source, output, '--to', to]), parameters);
      await rm(output, { force: true });
    }
    for (const recipe of values.recipe) {
      const output = join(folder, recipe);
      const args = ['quantize', source, '--recipe', recipe, '--out', output];
      report(`quantize --recipe ${recipe}`, runResident(frugal, args), parameters);
      await rm(output, { recursive: true, force: true });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function report(what: string, { seconds, residentBytes }: ProgramRun, parameters: number): void {
  const perBillion = (seconds / parameters) * 1e9;
  const larger = (seconds / parameters) * TARGET_PARAMETERS;
  console.log(
    `${what}: ${seconds.toFixed(1)} s, ${perBillion.toFixed(1)} s per billion, ${(larger / 60).toFixed(0)} min for 21 B; ` +
      `resident at most ${(residentBytes / 1e6).toFixed(0)} MB`,
  );
  if (residentBytes > LIMIT_BYTES) {
    console.error(`more than the limit of ${LIMIT_BYTES / 1e9} GB`);
    process.exitCode = 1;
  }
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

if (values.make) await make(values.make);
else await parent();
