import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { compress, parseRecipe } from '@frugal/compress';
import { countParameters } from '@frugal/eval';
import { settings } from '@frugal/example-pretrain-distill-deploy/steps';
import { createModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { formatBytes, formatNumber } from '@frugal/report';
import { modelBytes } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';

const pages = ['../README.md', '../examples/pretrain-distill-deploy/README.md'];

/** Cells of the table of a page, by model. */
async function tableOf(page: string): Promise<Map<string, string[]>> {
  const text = await readFile(fileURLToPath(new URL(page, import.meta.url)), 'utf8');
  const lines = text.split('\n');
  const header = lines.findIndex((line) => line.startsWith('model ') && line.includes('parameters'));
  const rows = lines.slice(header + 2, header + 6).map((line) => line.split(/ {2,}/));
  return new Map(rows.map(([name, ...cells]) => [name, cells]));
}

function llama({ width, layers, heads, feedForward }: typeof settings.full.teacher) {
  return createModel(
    {
      architectures: ['LlamaForCausalLM'],
      hidden_size: width,
      intermediate_size: feedForward,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      vocab_size: settings.full.vocabularySize,
      max_position_embeddings: settings.full.context,
      tie_word_embeddings: true,
    },
    { seed: 1 },
  );
}

it.each(pages)('the table in %s shows the models that the example makes', async (page) => {
  const table = await tableOf(page);
  const teacher = llama(settings.full.teacher);
  const student = llama(settings.full.student);
  const shown = (name: string) => table.get(name)?.slice(0, 2);
  const expected = (model: typeof teacher) => [
    formatNumber(countParameters(model), { digits: 3 }),
    formatBytes(modelBytes(model)),
  ];
  expect(shown('teacher')).toEqual(expected(teacher));
  expect(shown('student alone')).toEqual(expected(student));
  expect(shown('student distilled')).toEqual(expected(student));
  const int8 = {
    type: 'quant.rtn',
    targets: { include: ['**'] },
    format: 'int8-channel',
    activation: 'int8',
  };
  const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers: [int8] }] });
  await compress(student, recipe, { methods: [roundToNearest] });
  expect(shown('student int8')).toEqual(expected(student));
});
