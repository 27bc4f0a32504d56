import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuBackend } from '@frugal/backend-cpu';
import { compress, presetRecipe } from '@frugal/compress';
import { countParameters, measureSpeed } from '@frugal/eval';
import { createModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { noGrad, setBackend } from '@frugal/tensor-core';
import { type CausalLM, modelBytes } from '@frugal/tensor-core/nn';
import { machine, type Row, report } from '../shared/result.js';

/**
 * How far the predictions of `frugal plan` are off, at sizes that run here: Llamas with random weights, one stream.
 *   npm run bench -- plan [--sizes 25,135,360] [--json FILE]
 * Ratios above 1: faster than predicted, or more bytes.
 */
const { values: options } = parseArgs({
  options: { sizes: { type: 'string', default: '25,135,360' }, json: { type: 'string' } },
});
const PROMPT = 256;
const NEW = 64;
const FORMATS = ['bf16', 'int8'] as const;

/** Shapes by millions of parameters; the last two are those of SmolLM2. */
const SHAPES: Readonly<Record<string, object>> = {
  25: shape({ width: 384, feedForward: 1024, layers: 8, heads: 6, keyHeads: 2, vocabulary: 32_000 }),
  135: shape({ width: 576, feedForward: 1536, layers: 30, heads: 9, keyHeads: 3, vocabulary: 49_152 }),
  360: shape({ width: 960, feedForward: 2560, layers: 32, heads: 15, keyHeads: 5, vocabulary: 49_152 }),
};

function shape(size: {
  readonly width: number;
  readonly feedForward: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly vocabulary: number;
}) {
  return {
    architectures: ['LlamaForCausalLM'],
    hidden_size: size.width,
    intermediate_size: size.feedForward,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    num_key_value_heads: size.keyHeads,
    vocab_size: size.vocabulary,
    max_position_embeddings: 2048,
    tie_word_embeddings: true,
  };
}

interface Prediction {
  readonly recipe: string;
  readonly weightBytes: number;
  readonly decodeTokensPerSecond: number;
  readonly prefillTokensPerSecond: number;
}

/** What `frugal plan` says of a config on this machine, which it measures. */
function predict(config: object): Map<string, Prediction> {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-plan-'));
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(config));
  const program = fileURLToPath(new URL('../../../packages/cli/dist/main.js', import.meta.url));
  // A cache that is half full on average, as the plan assumes, holds the prompt and half of what is written.
  const args = [program, 'plan', file, '--context', String(2 * PROMPT + NEW), '--json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  if (status !== 0) throw new Error(`[plan] frugal plan failed: ${stderr}`);
  const { deployments } = JSON.parse(stdout) as { deployments: Prediction[] };
  return new Map(deployments.map((each) => [each.recipe, each]));
}

async function modelIn(format: (typeof FORMATS)[number], config: object): Promise<CausalLM> {
  const model = createModel(config as Readonly<Record<string, unknown>>, { seed: 1 });
  if (format !== 'bf16') {
    const recipe = presetRecipe(format, model);
    return (await compress(model, recipe, { methods: [roundToNearest] })).model;
  }
  for (const parameter of model.parameters()) parameter.value = noGrad(() => parameter.value.cast('bf16'));
  model.computeDType = 'bf16';
  return model;
}

setBackend(cpuBackend());
const rows: Row[] = [];
for (const size of options.sizes.split(',')) {
  const config = SHAPES[size];
  if (!config) {
    console.error(`[plan] no such size: got ${size}. expected some of ${Object.keys(SHAPES).join(', ')}.`);
    process.exit(2);
  }
  const predictions = predict(config);
  for (const format of FORMATS) {
    const model = await modelIn(format, config);
    const predicted = predictions.get(format);
    if (!predicted) continue;
    const speed = await measureSpeed(model, { promptTokens: PROMPT, newTokens: NEW, repeats: 3 });
    const row = (what: string, unit: string, ours: number, theirs: number): Row => ({
      name: `${size} M, ${format}: ${what}`,
      ...{ unit, peer: 'predicted', ours: [ours], theirs: [theirs] },
    });
    rows.push(
      row('weights', 'MB', modelBytes(model) / 1e6, predicted.weightBytes / 1e6),
      row('new tokens', 'tokens/s', speed.decodeTokensPerSecond.high, predicted.decodeTokensPerSecond),
      row('prompt', 'tokens/s', speed.prefillTokensPerSecond.high, predicted.prefillTokensPerSecond),
    );
    console.error(`${machine()}: ${size} M, ${format}, ${countParameters(model)} parameters`);
    model.dispose();
  }
}
report(rows, {
  backend: cpuBackend().description,
  promptTokens: PROMPT,
  newTokens: NEW,
  best: 'of 3 repeats',
});
