import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { expectAgreement } from './support/agree.js';

const fixtures = fileURLToPath(new URL('../../../oracles/fixtures/families', import.meta.url));
const models = readdirSync(fixtures, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('bert'))
  .map(({ name }) => name);

it('has fixtures of all families', () => {
  const families = new Set(models.map((name) => name.replace(/-\d+$/, '')));
  expect([...families].sort()).toEqual([
    'deepseek-v2',
    'deepseek-v3',
    'gemma2',
    'gemma3',
    'llama',
    'mistral',
    'mixtral',
    'qwen2',
    'qwen2-moe',
    'qwen3',
    'qwen3-moe',
    'smollm3',
  ]);
});

it.each(models)('%s agrees with transformers', async (name) => {
  await expectAgreement(`${fixtures}/${name}`);
});
