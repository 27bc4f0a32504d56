import { join } from 'node:path';
import { expect, it } from 'vitest';
import { residentWeightBytes } from '../src/model.js';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const experts = { num_experts: 4, num_experts_per_tok: 1, moe_intermediate_size: 8, norm_topk_prob: true };
const shared = { shared_expert_intermediate_size: 8 };
const model = await saveTinyModel(join(folder, 'moe'), {
  ...{ ...tinyConfig, ...experts, ...shared },
  num_key_value_heads: 2,
  architectures: ['Qwen2MoeForCausalLM'],
  model_type: 'qwen2_moe',
});
/** f32: layers × experts × matrices × numbers. */
const EXPERT_BYTES = 4 * 2 * 4 * 3 * 16 * 8;

it('counts of experts what may be in memory, and all of everything else', async () => {
  const all = await residentWeightBytes(model);
  expect(await residentWeightBytes(model, 0)).toBe(all - EXPERT_BYTES);
  expect(await residentWeightBytes(model, 1000)).toBe(all - EXPERT_BYTES + 1000);
  expect(await residentWeightBytes(model, 10 * EXPERT_BYTES)).toBe(all);
});

it('knows the experts of a GGUF file', async () => {
  const mixtral = await saveTinyModel(join(folder, 'mixtral'), {
    ...{ ...tinyConfig, architectures: ['MixtralForCausalLM'], model_type: 'mixtral', num_local_experts: 4 },
    num_experts_per_tok: 1,
    num_key_value_heads: 2,
    tie_word_embeddings: false,
  });
  const gguf = join(folder, 'mixtral.gguf');
  expect(await frugal(['convert', mixtral, gguf])).toMatchObject({ code: 0 });
  const all = await residentWeightBytes(gguf);
  expect(await residentWeightBytes(gguf, 0)).toBe(all - 4 * 2 * 4 * 3 * 16 * 24);
});
