import { expect, it } from 'vitest';
import { startServer } from './support/server.js';
import { chatModel, tinyModel } from './support/tiny.js';

const router = {
  models: ['small', 'large'],
  choose: (text: string) => (text.includes('hard') ? 'large' : 'small'),
};

function start() {
  const models = [chatModel({ name: 'small' }), chatModel({ name: 'large', positions: 512 })];
  return startServer({ models, routers: { auto: router } });
}

it('a router chooses by what is asked, and the answer says which', async () => {
  const { post } = start();
  const complete = async (prompt: unknown) =>
    (await post('/v1/completions', { model: 'auto', prompt, max_tokens: 2 })).json();
  expect((await complete('easy')).model).toBe('small');
  expect((await complete(['easy', 'hard'])).model).toBe('large');
  expect((await complete([1, 2])).error).toMatchObject({ code: 'invalid_value', param: 'prompt' });
  const messages = [
    { role: 'user', content: 'hard' },
    { role: 'assistant', content: 'yes' },
    { role: 'user', content: [{ type: 'text', text: 'easy' }] },
  ];
  const chat = await post('/v1/chat/completions', { model: 'auto', messages, max_tokens: 2 });
  expect(chat.json().model).toBe('small');
});

it('a router is listed with what all of its models can do', async () => {
  const { app } = start();
  const card = (await app.inject({ url: '/v1/models/auto' })).json();
  expect(card).toMatchObject({
    routes_to: ['small', 'large'],
    context_length: 256,
    chat: true,
    task: 'generate',
  });
});

it('lower priorities go first, as far as a client may', async () => {
  const limits = { maxRunning: 1 };
  const { post } = startServer({ models: [tinyModel()], limits, clientLimits: { lowestPriority: -1 } });
  const order: number[] = [];
  const ask = async (priority: number) => {
    const response = await post('/v1/completions', { model: 'tiny', prompt: 'x', max_tokens: 8, priority });
    order.push(priority);
    return response;
  };
  await Promise.all([5, 0, -1].map(ask));
  expect(order).toEqual([-1, 0, 5]);
  const refused = await ask(-2);
  expect([refused.statusCode, refused.json().error.code]).toEqual([403, 'priority_not_allowed']);
  const wrong = await post('/v1/completions', { model: 'tiny', prompt: 'x', priority: 0.5 });
  expect(wrong.json().error.param).toBe('priority');
});

it('models that came loaded stay; without manageModels nobody can try', async () => {
  const { post } = startServer({ manageModels: true });
  expect((await post('/v1/models/load', { model: 'tiny' })).json()).toEqual({
    id: 'tiny',
    object: 'model',
    loaded: true,
  });
  expect((await post('/v1/models/unload', { model: 'tiny' })).statusCode).toBe(400);
  expect((await post('/v1/models/load', { model: 'other' })).statusCode).toBe(404);
  expect((await post('/v1/models/load', {})).json().error.param).toBe('model');
  expect((await startServer().post('/v1/models/load', { model: 'tiny' })).statusCode).toBe(404);
});
