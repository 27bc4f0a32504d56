import type { FastifyInstance } from 'fastify';
import type { Engine, ModelCard } from '../engine/contract.js';
import { ApiError } from './api-error.js';
import { adapterModelName } from './model-names.js';
import type { Router } from './routers.js';

/** `GET /v1/models` and `GET /v1/models/NAME`; names may hold slashes. Adapters are models of their own: `MODEL:ADAPTER`. */
export function addModelRoutes(
  app: FastifyInstance,
  engine: Engine,
  routers: Readonly<Record<string, Router>>,
): void {
  const all = () => {
    const models = engine.models().flatMap(modelObjects);
    return [...models, ...Object.entries(routers).map((router) => routerObject(router, models))];
  };
  app.get('/v1/models', async () => ({ object: 'list', data: all() }));
  app.get<{ Params: { '*': string } }>('/v1/models/*', async (request) => {
    const name = request.params['*'];
    const model = all().find(({ id }) => id === name);
    if (!model) throw new ApiError(404, 'model_not_found', `There is no model '${name}' here.`, 'model');
    return model;
  });
}

interface ModelObject {
  readonly id: string;
  readonly [field: string]: unknown;
}

/** OpenAI's fields, and what a client must know to use the model well; then the same for each of its adapters. */
function modelObjects({ name, adapters, ...card }: ModelCard): readonly ModelObject[] {
  const described = (id: string) => ({
    id,
    object: 'model',
    created: card.created,
    owned_by: 'frugal',
    task: card.task,
    loaded: card.loaded,
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

/** A router promises what all of its models can do. */
function routerObject([id, router]: [string, Router], models: readonly ModelObject[]): ModelObject {
  const chosen = models.filter((model) => router.models.includes(model.id));
  const least = (field: string) => Math.min(...chosen.map((model) => Number(model[field])));
  return {
    id,
    object: 'model',
    created: least('created'),
    owned_by: 'frugal',
    task: 'generate',
    routes_to: router.models,
    context_length: least('context_length'),
    chat: chosen.every(({ chat }) => chat),
    roles: chosen.every(({ roles }) => roles),
  };
}
