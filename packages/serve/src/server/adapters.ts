import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Engine } from '../engine/contract.js';
import { EngineError } from '../engine/errors.js';
import { ApiError } from './api-error.js';
import { adapterModelName } from './model-names.js';
import { validate } from './validation.js';

/** No separators and no leading dot: a name never leads out of the folder. */
const adapterName = z.string().regex(/^\w[\w.-]{0,99}$/, 'expected letters, digits, ., _ and -');

const body = z.strictObject({ model: z.string().min(1), adapter: adapterName });

/**
 * `POST /v1/adapters` and `DELETE /v1/adapters`: adapters come and go while the server runs. Only those in `folder` can be
 * loaded, by the names of their folders.
 */
export function addAdapterRoutes(app: FastifyInstance, engine: Engine, folder: string): void {
  const cardOf = (model: string) => engine.models().find(({ name }) => name === model);
  app.post('/v1/adapters', async (request) => {
    const change = validate(body, request.body);
    if (cardOf(change.model)?.adapters.includes(change.adapter)) {
      throw new ApiError(409, 'adapter_exists', `${adapterModelName(change)} is loaded already.`, 'adapter');
    }
    try {
      await engine.loadAdapter({ ...change, source: join(folder, change.adapter) });
    } catch (error) {
      if (error instanceof EngineError) throw error;
      // What is wrong may name files of the server: that is for its owner.
      request.log.warn({ err: error }, 'adapter not loaded');
      const message = `The adapter ${change.adapter} cannot be loaded. The log of the server says why.`;
      throw new ApiError(400, 'adapter_not_loaded', message, 'adapter');
    }
    return { id: adapterModelName(change), object: 'adapter' };
  });
  app.delete('/v1/adapters', async (request) => {
    const change = validate(body, request.body);
    await engine.unloadAdapter(change);
    return { id: adapterModelName(change), object: 'adapter', deleted: true };
  });
}
