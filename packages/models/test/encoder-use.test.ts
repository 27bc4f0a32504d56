import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openCheckpoint } from '@frugal/checkpoint';
import { expect, it, onTestFinished } from 'vitest';
import { createEncoder, encoderUse, kindOf, saveModel } from '../src/index.js';

const config = {
  architectures: ['BertModel'],
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 1,
  num_attention_heads: 3,
  vocab_size: 50,
};

/** What a checkpoint with these files beside it says. */
async function useOf(files: Record<string, unknown>, more: object = {}) {
  const parent = await mkdtemp(join(tmpdir(), 'frugal-encoder-use-'));
  onTestFinished(() => rm(parent, { recursive: true }));
  const folder = join(parent, 'model');
  await saveModel(createEncoder({ ...config, ...more }, { seed: 1 }), folder);
  for (const [name, json] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), JSON.stringify(json));
  }
  const checkpoint = await openCheckpoint(folder);
  try {
    return await encoderUse(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

const module = (name: string, path = '') => ({ path, type: `sentence_transformers.models.${name}` });
const pooled = [module('Transformer'), module('Pooling', '1_Pooling')];

it('is the mean without files of sentence-transformers', async () => {
  expect(await useOf({})).toEqual({
    pooling: 'mean',
    normalize: false,
    contextLength: null,
    prefix: '',
    lowerCase: false,
    labels: null,
    activation: 'softmax',
  });
});

it('reads pooling, normalisation, length and prompt', async () => {
  const use = await useOf({
    'modules.json': [...pooled, module('Normalize', '2_Normalize')],
    '1_Pooling/config.json': { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false },
    'sentence_bert_config.json': { max_seq_length: 128, do_lower_case: true },
    'config_sentence_transformers.json': { prompts: { query: 'query: ' }, default_prompt_name: 'query' },
  });
  expect(use).toMatchObject({
    pooling: 'first',
    normalize: true,
    contextLength: 128,
    prefix: 'query: ',
    lowerCase: true,
  });
  const newer = { 'modules.json': pooled, '1_Pooling/config.json': { pooling_mode: 'cls' } };
  expect(await useOf(newer)).toMatchObject({ pooling: 'first', normalize: false });
});

it('reads classes and what makes scores of them', async () => {
  const classifier = { architectures: ['BertForSequenceClassification'], id2label: { 0: 'no', 1: 'yes' } };
  expect(await useOf({}, classifier)).toMatchObject({ labels: ['no', 'yes'], activation: 'softmax' });
  const multi = { ...classifier, problem_type: 'multi_label_classification' };
  expect(await useOf({}, multi)).toMatchObject({ activation: 'sigmoid' });
  const one = { architectures: ['BertForSequenceClassification'], num_labels: 1 };
  expect(await useOf({}, one)).toMatchObject({ labels: null, activation: 'sigmoid' });
  expect(await useOf({}, { ...one, problem_type: 'regression' })).toMatchObject({ activation: 'none' });
});

it.each([
  [{ 'modules.json': [...pooled, module('Dense', '2_Dense')] }, /modules\.json.*Dense/],
  [{ 'modules.json': [module('Pooling', '1_Pooling')] }, /no known order/],
  [{ 'modules.json': {} }, /no list of modules/],
  [{ 'modules.json': pooled, '1_Pooling/config.json': { pooling_mode_max_tokens: true } }, /max_tokens/],
  [
    {
      'modules.json': pooled,
      '1_Pooling/config.json': { pooling_mode_mean_tokens: true, pooling_mode_cls_token: true },
    },
    /pooling is not known/,
  ],
  [{ 'config_sentence_transformers.json': { default_prompt_name: 'query' } }, /not among the prompts/],
])('refuses %j', async (files, message) => {
  await expect(useOf({ '1_Pooling/config.json': { pooling_mode: 'mean' }, ...files })).rejects.toThrow(
    message,
  );
});

it('says of which kind a model is', () => {
  expect(kindOf(config)).toBe('encoder');
  expect(kindOf({ architectures: ['LlamaForCausalLM'] })).toBe('decoder');
});
