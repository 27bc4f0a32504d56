import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../api-error.js';
import type { ApiKeys, ClientLimits } from './api-keys.js';
import { ClientMeter } from './rate-limit.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The name of the client's key; null where no key is asked for. */
    client: string | null;
    /** Charges the client for more answers than one. @throws ApiError 429 when it may not have so many at once */
    widen: ((answers: number) => void) | null;
    /** @throws ApiError 403 when the client may not go before others like that */
    allowPriority: ((priority: number | null | undefined) => void) | null;
  }
  interface FastifyContextConfig {
    /** No key is needed. Everything that does not say so is guarded, unknown addresses too. */
    readonly open?: boolean;
  }
}

export interface GuardOptions {
  readonly keys: ApiKeys;
  /** Of clients whose key has none of its own; without keys, of all clients together. */
  readonly limits: ClientLimits;
}

/** Lets requests with a known key pass, at the rate of that key. Costs a client nothing that is refused. */
export function guard(app: FastifyInstance, { keys, limits }: GuardOptions): void {
  const meters = new Map<string | null, { readonly limits: ClientLimits; readonly meter: ClientMeter }>();
  const meterOf = (client: string | null, own: ClientLimits) => {
    const known = meters.get(client);
    if (known?.limits === own) return known.meter;
    const meter = new ClientMeter(own);
    meters.set(client, { limits: own, meter });
    return meter;
  };
  app.decorateRequest('client', null);
  app.decorateRequest('widen', null);
  app.decorateRequest('allowPriority', null);
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config?.open) return;
    const key = keys.isOpen ? null : authenticated(keys, request, reply);
    request.client = key?.name ?? null;
    const { lowestPriority = Number.NEGATIVE_INFINITY } = key?.limits ?? limits;
    request.allowPriority = (priority) => {
      if ((priority ?? 0) >= lowestPriority) return;
      const message = `This key may ask for a priority of ${lowestPriority} or more.`;
      throw new ApiError(403, 'priority_not_allowed', message, 'priority');
    };
    if (request.method === 'POST') meter(meterOf(request.client, key?.limits ?? limits), request, reply);
  });
}

function authenticated(keys: ApiKeys, request: FastifyRequest, reply: FastifyReply) {
  const { authorization = '' } = request.headers;
  const [, presented] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
  const key = presented === undefined ? null : keys.find(presented);
  if (key) return key;
  reply.header('www-authenticate', 'Bearer');
  const problem =
    presented === undefined ? 'There is no API key in the request' : 'The API key is not known here';
  throw new ApiError(401, 'invalid_api_key', `${problem}. Send the header authorization: Bearer KEY.`);
}

function meter(meter: ClientMeter, request: FastifyRequest, reply: FastifyReply): void {
  const { limit, remaining, reset, refusal } = meter.begin(performance.now());
  if (limit !== null) {
    reply.header('x-ratelimit-limit-requests', limit);
    reply.header('x-ratelimit-remaining-requests', remaining);
    reply.header('x-ratelimit-reset-requests', `${Math.ceil(reset / 1000)}s`);
  }
  if (!refusal) {
    let answers = 1;
    request.widen = (more) => {
      if (!meter.widen(more))
        throw tooMany(reply, 1, 'So many answers at once are more than this key may ask for now.');
      answers += more;
    };
    reply.raw.once('close', () => meter.end(answers));
    return;
  }
  const message =
    refusal.reason === 'rate'
      ? `This key may send ${limit} requests a minute.`
      : 'Too many requests with this key are being answered already.';
  throw tooMany(reply, Math.max(1, Math.ceil(refusal.after / 1000)), message);
}

function tooMany(reply: FastifyReply, seconds: number, message: string): ApiError {
  reply.header('retry-after', seconds);
  return new ApiError(429, 'rate_limit_exceeded', message);
}
