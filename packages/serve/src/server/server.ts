import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { type Logger, pino } from 'pino';
import type { Engine } from '../engine/contract.js';
import { chatPage } from '../page/chat-page.js';
import { ApiError, toApiError } from './api-error.js';
import { answerBrokenHttp } from './broken-http.js';
import { chatCompletions } from './chat-completions.js';
import type { TotalUsage } from './choices.js';
import { completions } from './completions.js';
import { addGenerationRoute } from './generation-route.js';
import { Lifetime } from './lifetime.js';
import { addModelRoutes } from './models.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the log says of a generation: never any text. */
    generation: { readonly model: string; readonly usage: TotalUsage } | null;
  }
}

export interface ServerOptions {
  /** Default: no logs. Prompts and answers are never logged. */
  readonly logger?: Logger | undefined;
  /** Largest body in bytes; default 4 MiB. */
  readonly bodyLimit?: number | undefined;
  /** How long `close()` lets running requests finish, in milliseconds; default 10,000. */
  readonly drainTimeout?: number | undefined;
}

/**
 * The HTTP side of an engine: OpenAI's API and the chat page. It does not listen yet. `close()` drains: new requests
 * get a 503 while running ones finish; the engine stays open.
 */
export function createServer(engine: Engine, options: ServerOptions = {}): FastifyInstance {
  const { logger = pino({ level: 'silent' }), bodyLimit = 4 * 2 ** 20, drainTimeout = 10_000 } = options;
  const lifetime = new Lifetime();
  const app: FastifyInstance = fastify({
    loggerInstance: logger as FastifyBaseLogger,
    bodyLimit,
    requestTimeout: 60_000,
    logController: new LogController({ disableRequestLogging: true }),
    return503OnClosing: false,
    genReqId: () => randomUUID(),
    clientErrorHandler: answerBrokenHttp,
    frameworkErrors: (error, _request, reply) => {
      const apiError = toApiError(error);
      (reply as FastifyReply).code(apiError.status).send(apiError.body);
    },
  });
  app.decorateRequest('generation', null);
  acceptOnlyJson(app);
  addHooks(app, lifetime);
  app.addHook('preClose', () => lifetime.drain(drainTimeout));

  addGenerationRoute(app, engine, lifetime, chatCompletions);
  addGenerationRoute(app, engine, lifetime, completions);
  addModelRoutes(app, engine);
  addHealthRoutes(app, engine, lifetime);
  addPageRoute(app);
  return app;
}

/** One parser, for JSON in valid UTF-8: bytes that are not text are refused, not replaced. */
function acceptOnlyJson(app: FastifyInstance): void {
  const parseText = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(body as Buffer);
    } catch {
      done(new ApiError(400, 'invalid_json', 'The body is not valid UTF-8.'), undefined);
      return;
    }
    parseText(request, text, done);
  });
}

function addHooks(app: FastifyInstance, lifetime: Lifetime): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    // 'close' comes for every response, also for one whose client went away.
    const start = performance.now();
    reply.raw.once('close', () => logRequest(request, reply.raw, performance.now() - start));
    if (lifetime.isDraining && request.method === 'POST') {
      reply.header('retry-after', '1').header('connection', 'close');
      throw new ApiError(503, 'shutting_down', 'The server is shutting down. Send the request again.');
    }
  });
  app.setErrorHandler((error, request, reply) => {
    const apiError = toApiError(error);
    if (apiError.status === 500) request.log.error({ err: error }, 'request failed');
    if (apiError.status === 503) reply.header('retry-after', '1');
    return reply.code(apiError.status).send(apiError.body);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0];
    const error = new ApiError(404, 'unknown_url', `There is no ${request.method} ${path} here.`);
    return reply.code(404).send(error.body);
  });
}

function logRequest(request: FastifyRequest, response: ServerResponse, milliseconds: number): void {
  const { generation } = request;
  request.log.info(
    {
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: response.statusCode,
      completed: response.writableFinished,
      milliseconds: Math.round(milliseconds),
      ...(generation && { model: generation.model, ...generation.usage }),
    },
    'request',
  );
}

/** `/health`: whether to send requests here. `/health/live`: whether this process answers at all. */
function addHealthRoutes(app: FastifyInstance, engine: Engine, lifetime: Lifetime): void {
  app.get('/health', async (_request, reply) => {
    const { waiting, running } = engine.stats();
    const status = lifetime.isDraining ? 'draining' : engine.isAvailable ? 'ok' : 'restarting';
    return reply.code(status === 'ok' ? 200 : 503).send({ status, waiting, running });
  });
  app.get('/health/live', async () => ({ status: 'ok' }));
}

function addPageRoute(app: FastifyInstance): void {
  app.get('/', async (_request, reply) => {
    const { html, contentSecurityPolicy } = chatPage();
    return reply
      .header('content-security-policy', contentSecurityPolicy)
      .header('referrer-policy', 'no-referrer')
      .type('text/html; charset=utf-8')
      .send(html);
  });
}
