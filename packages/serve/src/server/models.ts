import type { FastifyInstance } from 'fastify';
import type { Engine, ModelCard } from '../engine/contract.js';
import { ApiError } from './api-error.js';
import { adapterModelName } from './model-names.js';

/** `GET /v1/models` and `GET /v1/models/NAME`; names may hold slashes. Adapters are models of their own: `MODEL:ADAPTER`. */
export function addModelRoutes(app: FastifyInstance, engine: Engine): void {
  const all = () => engine.models().flatMap(modelObjects);
  app.get('/v1/models', async () => ({ object: 'list', data: all() }));
  app.get<{ Params: { '*': string } }>('/v1/models/*', async (request) => {
    const name = request.params['*'];
    const model = all().find(({ id }) => id === name);
    if (!model) throw new ApiError(404, 'model_not_found', `There is no model '${name}' here.`, 'model');
    return model;
  });
}

/** OpenAI's fields, and what a client must know to use the model well; then the same for each of its adapters. */
function modelObjects({ name, adapters, ...card }: ModelCard): readonly { readonly id: string }[] {
  const described = (id: string) => ({
    id,
    object: 'model',
    created: card.created,
    owned_by: 'frugal',
    task: card.task,
    context_length: card.contextLength,
    weight_bytes: card.weightBytes,
    chat: card.chat,
    roles: card.roles,
    ...(card.dimensions !== undefined && { dimensions: card.dimensions }),
    ...(card.labels && { labels: card.labels }),
  });
  const adapted = adapters.map((adapter) => ({
    ...described(adapterModelName({ model: name, adapter })),
    parent: name,
  }));
  return [described(name), ...adapted];
}
