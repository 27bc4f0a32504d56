import { keep, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { generate, PagedKVCache } from '@frugal/tensor-core/generation';
import {
  type CausalLM,
  type Model,
  nextTokenBatch,
  nextTokenLoss,
  type StepContext,
  stepBatch,
} from '@frugal/tensor-core/nn';
import { expect } from 'vitest';
import { toTheirs } from '../../src/families/family.js';
import { loadModel } from '../../src/index.js';
import { namesOf } from '../../src/registry.js';
import { denseParts } from '../../src/weights/dense-parts.js';
import { type Expected, readExpected, relativeDifference } from './oracle.js';

/** Everything transformers computed with the language model in `directory`, compared with ours. */
export async function expectAgreement(directory: string): Promise<void> {
  const model = await loadModel(directory);
  const expected = await readExpected(directory);
  await expectChunkedLogits(model, expected);
  await expectGreedy(model, expected);
  await expectPredictions(model, expected);
  await expectLogitsAndGradients(model, expected);
  model.dispose();
}

async function expectLogitsAndGradients(model: CausalLM, expected: Expected): Promise<void> {
  const sequences = expected.rows('input_ids');
  const { vocabularySize } = model;
  const { logits, loss } = scope(() => {
    const output = model.forward(stepBatch(sequences, { vocabularySize }));
    const { targets } = nextTokenBatch(sequences);
    const counted = targets.filter((target) => target >= 0).length;
    const mean = nextTokenLoss(output.hidden, model.head, tensor(targets)).mul(1 / counted);
    const values: Tensor = output.logits().detach();
    mean.backward();
    return { logits: values, loss: mean };
  });
  expect(relativeDifference(await logits.toFloat32(), expected.floats('logits')), 'logits').toBeLessThan(
    2e-5,
  );
  expect(relativeDifference([await loss.item()], expected.floats('loss')), 'loss').toBeLessThan(1e-4);
  await expectGradientNorms(model, expected);
}

/** Norms of all gradients under the names of the file; experts one by one. */
export async function expectGradientNorms(
  model: Model,
  { gradientNorms }: Pick<Expected, 'gradientNorms'>,
): Promise<void> {
  const names = namesOf(model.config);
  // The gradients in the place of the values: then they are told apart as the file tells the values apart.
  const gradients = new Map<string, Float32Array>();
  for (const parameter of model.parameters()) {
    const { gradient } = parameter;
    noGrad(() => scope(() => void parameter.value.assign(gradient ?? parameter.value.mul(0))));
  }
  for (const [path, part] of denseParts(model, (ours) => toTheirs(names, ours))) {
    const value = part.current();
    if (!part.isBuffer) gradients.set(toTheirs(names, path) as string, await value.toFloat32());
    value.dispose();
  }
  const largest = Math.max(...Object.values(gradientNorms));
  for (const [name, wanted] of Object.entries(gradientNorms)) {
    const tied = !gradients.has(name) && model.ties.some(({ path }) => toTheirs(names, path) === name);
    if (tied) continue;
    const actual = Math.hypot(...(gradients.get(name) ?? [Number.NaN]));
    // A gradient that is zero in theory is rounding in practice.
    expect(Math.abs(actual - wanted), name).toBeLessThan(1e-4 * wanted + 1e-7 * largest);
  }
}

/** The same logits when sequences come in pieces, over a cache: for latent attention, in its absorbed form. */
async function expectChunkedLogits(model: CausalLM, expected: Expected): Promise<void> {
  const { vocabularySize } = model;
  const wanted = expected.floats('logits');
  const [sequence] = expected.rows('input_ids');
  const cache = new PagedKVCache(model.cacheSpec, { tokens: 64, pageSize: 4 });
  const id = cache.open();
  for (let start = 0; start < sequence.length; ) {
    const end = Math.min(sequence.length, start + (start === 0 ? 7 : start === 7 ? 1 : 5));
    const logits = scope(() =>
      noGrad(() => {
        const view = cache.extend([id], [end - start]);
        const options = { vocabularySize, startPositions: [start], cache: view };
        return model.forward(stepBatch([sequence.subarray(start, end)], options)).logits();
      }),
    );
    const part = wanted.subarray(start * vocabularySize, end * vocabularySize);
    // Dynamic rotary scaling depends on the length so far: transformers saw the whole sequence at once.
    if (!isDynamic(model))
      expect(relativeDifference(await logits.toFloat32(), part), `from ${start}`).toBeLessThan(5e-5);
    start = end;
  }
  cache.dispose();
}

function isDynamic({ config }: CausalLM): boolean {
  return /"rope_type":"dynamic"/.test(JSON.stringify(config));
}

/** Greedy tokens; where the best two logits are closer than rounding, the rest of a text is not compared. */
async function expectGreedy(model: CausalLM, expected: Expected): Promise<void> {
  const tokens = expected.rows('greedy.tokens');
  const margins = expected.floats('greedy.margins');
  const scale = Math.max(...expected.floats('logits').map(Math.abs));
  for (const [i, prompt] of expected.rows('greedy.prompt').entries()) {
    const count = tokens[i].length;
    const close = margins.subarray(i * count, (i + 1) * count).findIndex((margin) => margin < 1e-4 * scale);
    const wanted = [...(close < 0 ? tokens[i] : tokens[i].subarray(0, close))];
    const actual: number[] = [];
    const room = model.contextLength - prompt.length;
    const options = { maxTokens: Math.min(wanted.length, room), prefillChunk: isDynamic(model) ? 64 : 5 };
    if (options.maxTokens === 0) continue;
    for await (const token of generate(model, prompt, options)) actual.push(token);
    expect(actual).toEqual(wanted.slice(0, options.maxTokens));
  }
}

/** Blocks that predict further tokens, fed with the true ones. */
async function expectPredictions(model: CausalLM, expected: Expected): Promise<void> {
  const count = expected.names.filter((name) => name.startsWith('prediction.')).length;
  expect(model.extraBlocks.length).toBe(count);
  const { vocabularySize } = model;
  for (const [i, sequence] of expected.rows('input_ids').entries()) {
    let hidden = scope(() => noGrad(() => model.forward(stepBatch([sequence], { vocabularySize })).hidden));
    for (const [depth, block] of model.extraBlocks.entries()) {
      const following = sequence.subarray(depth + 1);
      const logits = scope(() =>
        noGrad(() => {
          const batch = stepBatch([following], { vocabularySize, startPositions: [depth + 1] });
          const { context }: { context: StepContext } = model.begin(batch);
          hidden = keep(block.forward(hidden.slice(0, 0, following.length), context));
          return model.head.forward(hidden);
        }),
      );
      const wanted = expected.floats(`prediction.${depth}`);
      const size = following.length * vocabularySize;
      const difference = relativeDifference(
        await logits.toFloat32(),
        wanted.subarray(i * size, (i + 1) * size),
      );
      expect(difference, `prediction ${depth}`).toBeLessThan(2e-5);
    }
  }
}
