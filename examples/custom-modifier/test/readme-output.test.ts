import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compress } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { expect, it } from 'vitest';
import { brokenRecipe, comparedRecipes } from '../src/recipes.js';
import { sharedValues } from '../src/shared-values.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].trimEnd().split('\n');

it('the README shows the recipes that are compared', () => {
  const rows = shown.slice(2, shown.indexOf('')).map((line) => line.split(/ {2,}/)[0]);
  expect(rows).toEqual(['as trained', ...comparedRecipes.map(([name]) => name)]);
});

it('the README shows the error of a stage that breaks what an earlier one made', async () => {
  const config = {
    architectures: ['LlamaForCausalLM'],
    hidden_size: 128,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    vocab_size: 64,
  };
  const model = createModel(config, { seed: 1 });
  const error = await compress(model, brokenRecipe, { methods: [sharedValues, roundToNearest] }).catch(
    (caught: Error) => caught.message,
  );
  const withoutNumbers = (text: unknown) => String(text).replace(/row \d+ holds \d+/, 'row N holds N');
  expect(withoutNumbers(error)).toBe(withoutNumbers(shown.at(-1)));
});
