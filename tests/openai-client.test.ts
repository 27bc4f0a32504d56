import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createEncoder, createModel } from '@frugal/models';
import { ApiKeys, hashApiKey, serveModels } from '@frugal/serve';
import { chatTemplate, trainByteLevelBpe } from '@frugal/tokenizers';
import { expect, it, onTestFinished } from 'vitest';
import { toolTemplates } from '../packages/serve/test/support/tool-templates.js';
import { findPython } from './support/python.js';

const script = fileURLToPath(new URL('../oracles/openai_client.py', import.meta.url));

it('the official client for Python is served as it expects', async (context) => {
  const python = findPython('import openai');
  if (!python) return context.skip('needs Python with openai');
  const tokenizer = trainByteLevelBpe(['Hello, hello'], { vocabularySize: 260 });
  const config = { architectures: ['LlamaForCausalLM'], vocab_size: tokenizer.vocabularySize };
  const size = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2 };
  const model = createModel({ ...config, ...size }, { seed: 1 });
  const encoder = createEncoder({ ...config, ...size, architectures: ['BertModel'] }, { seed: 2 });
  const apiKeys = new ApiKeys([{ name: 'test', sha256: hashApiKey('right') }]);
  const models = [
    { name: 'tiny', model, tokenizer, chatTemplate: chatTemplate(tokenizer) },
    {
      name: 'caller',
      model,
      tokenizer,
      chatTemplate: chatTemplate(tokenizer, { source: toolTemplates.hermes }),
    },
    { name: 'embedder', encoder, tokenizer },
  ];
  const server = await serveModels({ models, port: 0, apiKeys });
  onTestFinished(() => server.close());

  const { stdout } = await promisify(execFile)(python, [
    script,
    `${server.url}v1`,
    'right',
    'tiny',
    'caller',
    'embedder',
  ]);
  const seen = JSON.parse(stdout);
  expect(seen).toMatchObject({
    models: ['tiny', 'caller', 'embedder'],
    retrieved: 'tiny',
    logprobs: seen.chat.completion_tokens,
    streamed: seen.chat,
    side_by_side: new Array(8).fill(seen.chat.text),
    completion_streamed: seen.completion,
    called: { strict: true, parsed: [true, true, true], most: 1 },
    embedded: { sizes: [32, 32], same: true },
    errors: {
      'no encoder': ['BadRequestError', 'model_does_not_do_this', 'model'],
      'unknown model': ['NotFoundError', 'model_not_found', 'model'],
      'out of range': ['BadRequestError', 'invalid_value', 'temperature'],
      unsupported: ['BadRequestError', 'unsupported_parameter', 'audio'],
      'wrong key': ['AuthenticationError', 'invalid_api_key', null],
    },
  });
  expect(seen.chat.text).not.toBe('');
});
