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
import { ApiKeys, type ClientLimits } from './access/api-keys.js';
import { allowOrigins } from './access/cors.js';
import { guard } from './access/guard.js';
import { addSecurityHeaders } from './access/security-headers.js';
import { addAdapterRoutes } from './adapters.js';
import { ApiError, toApiError } from './api-error.js';
import { answerBrokenHttp } from './broken-http.js';
import { chatCompletions } from './chat-completions.js';
import type { TotalUsage } from './choices.js';
import { completions } from './completions.js';
import { addEncodingRoutes } from './encoding-routes.js';
import { addGenerationRoute } from './generation-route.js';
import { Lifetime } from './lifetime.js';
import { Metrics } from './metrics/metrics.js';
import { addModelManagement } from './model-management.js';
import { addModelRoutes } from './models.js';
import type { Router } from './routers.js';
import { addSimilarityRoutes } from './similarity-routes.js';
import { dropSlowReader } from './slow-reader.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the log says of a generation: never any text. */
    generation: { readonly model: string; readonly usage: TotalUsage } | null;
  }
}

export interface ServerOptions {
  /** Default: no logs. Prompts and answers are never logged. */
  readonly logger?: Logger | undefined;
  /** Who may use the API; default: everybody who can reach the server. */
  readonly apiKeys?: ApiKeys | undefined;
  /** Of clients whose key has none of its own. */
  readonly clientLimits?: ClientLimits | undefined;
  /** Adapters in this folder can be loaded at `/v1/adapters`, by the names of their folders. Default: none can. */
  readonly adapterFolder?: string | undefined;
  /** Whether models can be loaded and unloaded at `/v1/models/load` and `/v1/models/unload`. Default false. */
  readonly manageModels?: boolean | undefined;
  /** Names under which a model is chosen for each request. */
  readonly routers?: Readonly<Record<string, Router>> | undefined;
  /** Whether `/metrics` answers without a key. Default false. */
  readonly openMetrics?: boolean | undefined;
  /** Origins whose pages may use the API from a browser, such as `https://example.com`; `*`: all. Default: none. */
  readonly origins?: readonly string[] | undefined;
  /** Largest body in bytes; default 4 MiB. */
  readonly bodyLimit?: number | undefined;
  /** How long `close()` lets running requests finish, in milliseconds; default 10,000. */
  readonly drainTimeout?: number | undefined;
  /** A client that takes nothing of its answer for so many milliseconds is hung up on; default 30,000. */
  readonly slowReaderTimeout?: number | undefined;
}

/**
 * The HTTP side of an engine: OpenAI's API and the chat page. It does not listen yet. `close()` drains: new requests
 * get a 503 while running ones finish; the engine stays open.
 */
export function createServer(engine: Engine, options: ServerOptions = {}): FastifyInstance {
  const { logger = pino({ level: 'silent' }), bodyLimit = 4 * 2 ** 20, drainTimeout = 10_000 } = options;
  const {
    apiKeys = new ApiKeys([]),
    clientLimits = {},
    origins = [],
    slowReaderTimeout = 30_000,
    openMetrics = false,
    adapterFolder,
    manageModels = false,
    routers = {},
  } = options;
  const lifetime = new Lifetime();
  const app: FastifyInstance = fastify({
    loggerInstance: logger as FastifyBaseLogger,
    bodyLimit,
    requestTimeout: 60_000,
    logController: new LogController({ disableRequestLogging: true }),
    return503OnClosing: false,
    // After draining: a connection on which nothing was ever asked, as browsers keep, would hold the server up.
    forceCloseConnections: true,
    genReqId: () => randomUUID(),
    clientErrorHandler: answerBrokenHttp,
    frameworkErrors: (error, _request, reply) => {
      const apiError = toApiError(error);
      (reply as FastifyReply).code(apiError.status).send(apiError.body);
    },
  });
  app.decorateRequest('generation', null);
  acceptOnlyJson(app);
  addSecurityHeaders(app);
  allowOrigins(app, origins);
  addHooks(app, lifetime, slowReaderTimeout);
  const metrics = new Metrics(engine);
  metrics.addRoute(app, openMetrics);
  guard(app, { keys: apiKeys, limits: clientLimits });
  app.addHook('preClose', () => lifetime.drain(drainTimeout));

  const observed = {
    models: () => engine.models(),
    submit: metrics.observed((request) => engine.submit(request)),
  };
  addGenerationRoute(app, observed, { lifetime, routers }, chatCompletions);
  addGenerationRoute(app, observed, { lifetime, routers }, completions);
  addEncodingRoutes(app, engine, lifetime);
  addSimilarityRoutes(app, engine, lifetime);
  addModelRoutes(app, engine, routers);
  if (manageModels) addModelManagement(app, engine);
  if (adapterFolder !== undefined) addAdapterRoutes(app, engine, adapterFolder);
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

function addHooks(app: FastifyInstance, lifetime: Lifetime, slowReaderTimeout: number): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    dropSlowReader(reply.raw, slowReaderTimeout);
    // 'close' comes for every response, also for one whose client went away.
    const start = performance.now();
    let completed = false;
    reply.raw.once('finish', () => {
      completed = !reply.raw.destroyed; // it comes for a response that was cut off as well
    });
    reply.raw.once('close', () => logRequest(request, reply.raw, performance.now() - start, completed));
    if (lifetime.isDraining && request.method === 'POST') {
      reply.header('retry-after', '1').header('connection', 'close');
      throw new ApiError(503, 'shutting_down', 'The server is shutting down. Send the request again.');
    }
  });
  app.setErrorHandler((error, request, reply) => {
    const apiError = toApiError(error);
    // A client that leaves its stream is no failure: `completed` of its line in the log says so.
    if (apiError.status === 500 && !reply.raw.destroyed) request.log.error({ err: error }, 'request failed');
    if (apiError.status === 503) reply.header('retry-after', '1');
    return reply.code(apiError.status).send(apiError.body);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0];
    const error = new ApiError(404, 'unknown_url', `There is no ${request.method} ${path} here.`);
    return reply.code(404).send(error.body);
  });
}

function logRequest(
  request: FastifyRequest,
  response: ServerResponse,
  milliseconds: number,
  completed: boolean,
): void {
  const { generation } = request;
  // Probes ask every few seconds.
  const level =
    request.method === 'GET' && response.statusCode === 200 && isProbe(request) ? 'debug' : 'info';
  request.log[level](
    {
      ...(request.client !== null && { client: request.client }),
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: response.statusCode,
      completed,
      milliseconds: Math.round(milliseconds),
      ...(generation && { model: generation.model, ...counted(generation.usage) }),
    },
    'request',
  );
}

const isProbe = ({ routeOptions: { url = '' } }: FastifyRequest) => /^\/(health|metrics)/.test(url);

function counted({ prompt_tokens_details: { cached_tokens }, ...usage }: TotalUsage): object {
  return { ...usage, cached_tokens };
}

/** Routes that need no key. */
const open = { config: { open: true } };

/** `/health`: whether to send requests here. `/health/live`: whether this process answers at all. */
function addHealthRoutes(app: FastifyInstance, engine: Engine, lifetime: Lifetime): void {
  app.get('/health', open, async (_request, reply) => {
    const { waiting, running } = engine.stats();
    const status = lifetime.isDraining ? 'draining' : engine.isAvailable ? 'ok' : 'restarting';
    return reply.code(status === 'ok' ? 200 : 503).send({ status, waiting, running });
  });
  app.get('/health/live', open, async () => ({ status: 'ok' }));
}

function addPageRoute(app: FastifyInstance): void {
  app.get('/', open, async (_request, reply) => {
    const { html, contentSecurityPolicy } = chatPage();
    return reply
      .header('content-security-policy', contentSecurityPolicy)
      .type('text/html; charset=utf-8')
      .send(html);
  });
}
