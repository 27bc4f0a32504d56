import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { countParameters } from '@frugal/eval';
import { skeleton } from '@frugal/models';
import { formatBytes, formatNumber } from '@frugal/report';
import { expect, it } from 'vitest';
import { forms } from '../src/forms.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].trimEnd().split('\n');
const header = shown.findIndex((line) => line.startsWith('model '));
const rows = shown.slice(header + 2, shown.indexOf('', header)).map((line) => line.split(/ {2,}/));

/** SmolLM2-135M with so many layers. */
const smolLM2 = (layers: number) =>
  skeleton({
    architectures: ['LlamaForCausalLM'],
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: layers,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    vocab_size: 49152,
    tie_word_embeddings: true,
  });

it('the README shows the forms that are made, in their order', () => {
  expect(rows.map(([name]) => name)).toEqual(['bf16', ...forms.map(({ name }) => name)]);
});

it('the README shows the parameters and dense sizes of SmolLM2 and of half of its layers', () => {
  for (const [name, parameters, size] of rows) {
    const count = countParameters(smolLM2(name.startsWith('half') ? 15 : 30));
    expect(parameters, name).toBe(formatNumber(count, { digits: 3 }));
    if (['bf16', 'half the layers', 'half, distilled'].includes(name))
      expect(size, name).toBe(formatBytes(2 * count));
  }
});
