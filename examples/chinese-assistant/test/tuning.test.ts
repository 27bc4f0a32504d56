import { perplexity } from '@frugal/eval';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { expect, it } from 'vitest';
import { settings } from '../src/settings.js';
import { newModel, remember, tune } from '../src/training.js';

const text = '问题：成语“画蛇添足”是什么意思？\n答案：多此一举。';
const tokenizer = trainByteLevelBpe([text], { vocabularySize: 270, specialTokens: ['<|endoftext|>'] });
const examples = [
  { instruction: '成语“画蛇添足”是什么意思？', answer: '多此一举。', seed: 'idiom/画蛇添足' },
];

const weightsOf = (model: CausalLM) => Promise.all(model.parameters().map(({ value }) => value.toFloat32()));

it('what tuning does to the weights can be taken back, bit by bit', async () => {
  const chosen = { ...settings.nano, epochs: 40, batch: 1 };
  const model = newModel(chosen, tokenizer.vocabularySize);
  const before = await weightsOf(model);
  const costs = async () => (await perplexity(model, tokenizer, [text])).nll;
  const untaught = await costs();
  const undo = await remember(model);
  await tune(model, tokenizer, examples, chosen);
  // The answer is learned, and with it a good part of the text.
  expect(await costs()).toBeLessThan(untaught - 0.1);
  undo();
  expect(await weightsOf(model)).toEqual(before);
});
