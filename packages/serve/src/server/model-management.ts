import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Engine } from '../engine/contract.js';
import { EngineError } from '../engine/errors.js';
import { ApiError } from './api-error.js';
import { validate } from './validation.js';

const body = z.strictObject({ model: z.string().min(1) });

/** `POST /v1/models/load` and `POST /v1/models/unload`: by hand what otherwise happens when a model is asked for. */
export function addModelManagement(app: FastifyInstance, engine: Engine): void {
  const add = (path: string, change: (model: string) => Promise<void>) => {
    app.post(path, async (request) => {
      const { model } = validate(body, request.body);
      try {
        await change(model);
      } catch (error) {
        if (error instanceof EngineError) throw error;
        // What is wrong may name files of the server: that is for its owner.
        request.log.warn({ err: error }, 'model not loaded');
        const message = `The model ${model} cannot be loaded. The log of the server says why.`;
        throw new ApiError(503, 'model_not_loaded', message, 'model');
      }
      return {
        id: model,
        object: 'model',
        loaded: engine.models().find(({ name }) => name === model)?.loaded,
      };
    });
  };
  add('/v1/models/load', (model) => engine.loadModel(model));
  add('/v1/models/unload', (model) => engine.unloadModel(model));
}
