import type { FastifyInstance } from 'fastify';
import type { Engine, ModelCard } from '../engine/contract.js';
import { ApiError } from './api-error.js';

/** `GET /v1/models` and `GET /v1/models/NAME`; names may hold slashes. */
export function addModelRoutes(app: FastifyInstance, engine: Engine): void {
  app.get('/v1/models', async () => ({ object: 'list', data: engine.models().map(modelObject) }));
  app.get<{ Params: { '*': string } }>('/v1/models/*', async (request) => {
    const name = request.params['*'];
    const card = engine.models().find((model) => model.name === name);
    if (!card) throw new ApiError(404, 'model_not_found', `There is no model '${name}' here.`, 'model');
    return modelObject(card);
  });
}

/** OpenAI's fields, and what a client must know to use the model well. */
function modelObject({ name, created, contextLength, weightBytes, chat, roles }: ModelCard): object {
  return {
    id: name,
    object: 'model',
    created,
    owned_by: 'frugal',
    context_length: contextLength,
    weight_bytes: weightBytes,
    chat,
    roles,
  };
}
